"""What is said of events, reasons, causes and notes: a kind with values, put into words in this one table.

What the program does depends on the kind; the screen and the command line show the text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

MessageKind = Literal[
    "text",
    # events of an apply
    "apply-started",
    "step-started",
    "step-done",
    "operation",
    "operation-noted",
    "operation-failed",
    "waiting-for-engine",
    "coming-up",
    "revived-new",
    "revived-old",
    "not-revived",
    "ended",
    # why a revision was saved, or an apply was begun
    "as-found",
    "edited-on-screen",
    "assigned",
    "strategy",
    "imported",
    "lifecycle",
    "rolled-back",
    "fallback",
    "applied-on-screen",
    "applied",
    # notes in the header
    "state-not-shared",
    "edited-by-hand",
    "file-edited-by-hand",
]

FALLBACK_WORDS = "fallback: "
"""How the reason of a fallback begins, also in what gputui 0.1 wrote."""

_WORDS: Mapping[MessageKind, str] = {
    "text": "{text}",
    "apply-started": "revision {revision}",
    "step-started": "{action} {service}: {cause}",
    "step-done": "{action} {service}",
    "operation": "{operation}",
    "operation-noted": "{operation}: {note}",
    "operation-failed": "{operation}: {error}",
    "waiting-for-engine": "waiting for the engine: {error}",
    "coming-up": "{state} for {seconds} s{line}",
    "revived-new": "somebody took the new container away; it is brought back",
    "revived-old": "somebody took the old container away; it is brought back",
    "not-revived": "it could not be brought back: {error}",
    "ended": "{text}",
    "as-found": "as found",
    "edited-on-screen": "edited on the screen",
    "assigned": "assign {service}",
    "strategy": "strategy {strategy}",
    "imported": "imported from {file}",
    "lifecycle": "{action} {services}",
    "rolled-back": "rollback to revision {revision}",
    "fallback": FALLBACK_WORDS + "{changes}",
    "applied-on-screen": "applied on the screen",
    "applied": "apply",
    "state-not-shared": "{reason}",
    "edited-by-hand": "{file} was edited by hand: `gputui import {file}` takes it in, the next save replaces it "
    "(and keeps {file}.bak)",
    "file-edited-by-hand": "{file} was edited by hand: gputui does not read it, the next save replaces it "
    "(and keeps {file}.bak)",
}


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to say: its kind, and the values that its words take."""

    kind: MessageKind
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """In words."""
        return _WORDS[self.kind].format_map(_Values(self.values))

    @classmethod
    def of_text(cls, text: str) -> "Message":
        """A message of which only the words are known, as gputui 0.1 wrote them."""
        if text.startswith(FALLBACK_WORDS):
            return cls("fallback", {"changes": text.removeprefix(FALLBACK_WORDS)})
        return cls("text", {"text": text})

    @classmethod
    def recorded(cls, kind: str, values: Mapping[str, object], text: str) -> "Message":
        """What is on record; only its text where the kind is not known here."""
        known = next((known for known in get_args(MessageKind) if known == kind), None)
        if known is None:
            return cls.of_text(text)
        return cls(known, {str(name): str(value) for name, value in values.items()})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """Text alone, as gputui 0.1 wrote it, is a message too."""
        from pydantic_core import core_schema  # noqa: PLC0415 - the first picture must not wait for it

        def parsed(value: object) -> object:
            if not isinstance(value, str):
                return value
            message = cls.of_text(value)
            return {"kind": message.kind, "values": dict(message.values)}

        return core_schema.no_info_before_validator_function(parsed, handler(source))


class _Values(dict[str, str]):
    """A value that is missing is shown as such: a message on record may be of another version."""

    def __missing__(self, name: str) -> str:
        return f"<{name}>"


def message(kind: MessageKind, **values: object) -> Message:
    """A message of this kind."""
    return Message(kind, {name: str(value) for name, value in values.items()})
