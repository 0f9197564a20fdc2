"""The original values that budget and edits changed in a container, stored in a label so that they can be restored."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The original command and variables; a variable that is None did not exist."""

    command: Sequence[str] | None
    variables: Mapping[str, str | None]

    def label(self) -> str:
        """The value of the label."""
        return json.dumps({"cmd": self.command, "variables": dict(self.variables)})

    @classmethod
    def parse(cls, label: str | None) -> "Original | None":
        """The inverse of `label()`; None if there is no label, or it is not in this format."""
        if label is None:
            return None
        try:
            original = json.loads(label)
            command, variables = original["cmd"], dict(original["variables"])
        except (ValueError, KeyError, TypeError, RecursionError):
            return None
        if command is not None and not isinstance(command, list):
            return None
        return cls(
            command=None if command is None else [str(word) for word in command],
            variables={str(name): None if value is None else str(value) for name, value in variables.items()},
        )


def with_variables(environment: Sequence[str], changes: Mapping[str, str | None]) -> list[str]:
    """`NAME=value` lines with these variables set, or removed if the value is None."""
    lines = [line for line in map(str, environment) if line.partition("=")[0] not in changes]
    return lines + [f"{name}={value}" for name, value in changes.items() if value is not None]
