"""The operations that carry a step out, one kind a file: what it is, how it is done, and how it is undone."""
