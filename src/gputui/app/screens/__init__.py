"""Screens and dialogs, one idea a file."""
