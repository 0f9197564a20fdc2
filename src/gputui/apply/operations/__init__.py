"""The operations that carry out a step, one kind per file: what it is, how it is done, and how it is undone."""
