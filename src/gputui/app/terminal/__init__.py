"""The layer between the app and the terminal."""
