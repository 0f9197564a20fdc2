"""YAML from outside, read so that nothing of it can end the program."""

from typing import Any

import yaml

DEEPEST = 100
"""Levels; the C loader ends the process where there are very many."""
FAULTS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What PyYAML raises for texts that are no YAML, or have values that are none of their tag (`!!int x`)."""


def load_yaml(text: str, loader: Any = yaml.SafeLoader) -> Any:
    """The one document in a text.

    Raises:
        any of `FAULTS`: it is no YAML, or nested too deeply.
    """
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEEPEST:
                raise yaml.YAMLError(f"more than {DEEPEST} levels")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return yaml.load(text, Loader=loader)


def fault_text(error: BaseException) -> str:
    """The first line of what was wrong."""
    return (str(error).splitlines() or [type(error).__name__])[0]
