"""The nouns, as frozen values without input or output."""
