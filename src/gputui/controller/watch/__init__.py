"""Watches: each polls one source."""
