"""The saved state: revisions, applies and their journal, observations, logs."""
