"""Carries out a transaction in a process of its own."""
