"""What a model is, read from the headers of its files."""
