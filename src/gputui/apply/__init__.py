"""Carrying a transaction out, in a process of its own."""
