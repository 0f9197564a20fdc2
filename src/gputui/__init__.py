"""The terminal cockpit for shared GPU servers."""

__version__ = "0.1.0"
