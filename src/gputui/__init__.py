"""The terminal cockpit for shared GPU servers."""

__version__ = "0.2.0"
