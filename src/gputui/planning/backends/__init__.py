"""The serving programs that gputui knows, one a file: their options, and their rule of memory."""
