"""What budget and edits changed of a container, as it was before: remembered in a label, so that it can be restored."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """The command, and the variables; a variable that is None was not there."""

    command: Sequence[str] | None
    variables: Mapping[str, str | None]

    def label(self) -> str:
        """As the label's text."""
        return json.dumps({"cmd": self.command, "variables": dict(self.variables)})

    @classmethod
    def parse(cls, label: str | None) -> "Original | None":
        """What `label()` wrote; None where there is no label, or somebody else wrote it."""
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
    """`NAME=value` lines with these variables set, or taken away where the value is None."""
    lines = [line for line in map(str, environment) if line.partition("=")[0] not in changes]
    return lines + [f"{name}={value}" for name, value in changes.items() if value is not None]
