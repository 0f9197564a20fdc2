"""What is kept: revisions, applies and their journal, observations, logs."""
