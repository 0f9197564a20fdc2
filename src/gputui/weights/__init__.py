"""What a model needs, read from the headers of its files."""
