"""Watches: each looks at one thing again and again."""
