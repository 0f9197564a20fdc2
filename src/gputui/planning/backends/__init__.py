"""The serving programs that gputui knows, one per file: their options and memory rules."""
