"""Decisions as pure functions: no input, no output, no clock."""
