"""What a person sets: settings, keys, themes, and what is remembered."""
