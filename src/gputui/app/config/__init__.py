"""The configuration of the screen: settings, keys, themes and UI state."""
