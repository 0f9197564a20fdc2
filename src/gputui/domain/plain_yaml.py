"""Reads untrusted YAML without letting it crash the program."""

from typing import Any

import yaml

DEEPEST = 100
"""Maximum nesting; very deep nesting crashes the C loader."""
FAULTS = (yaml.YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What PyYAML raises for invalid YAML, or for values that do not match their tag (`!!int x`)."""


def load_yaml(text: str, loader: Any = yaml.SafeLoader) -> Any:
    """The single document in a text.

    Raises:
        any of `FAULTS`: it is not valid YAML, or nested too deeply.
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
    """The first line of an error message."""
    return (str(error).splitlines() or [type(error).__name__])[0]
