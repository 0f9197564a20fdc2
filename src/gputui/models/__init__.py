"""Reads the properties of a model from the headers of its files."""
