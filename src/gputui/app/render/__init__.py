"""Rendering of values as text and styled runs: pure functions without widgets."""
