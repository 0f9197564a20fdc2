"""Findings about the services, the GPUs and a draft; one kind of question per file."""
