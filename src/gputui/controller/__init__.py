"""The long-lived state behind both the screen and the command line."""
