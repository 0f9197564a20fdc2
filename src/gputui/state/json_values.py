"""Converts frozen values to JSON and back."""

from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from pydantic import TypeAdapter

from pydantic import ValidationError

from gputui.domain.errors import GputuiError

T = TypeVar("T")


@cache
def _adapter(kind: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter  # noqa: PLC0415 - the first frame must not wait for it

    return TypeAdapter(kind)


def prepare(*kinds: Any) -> None:
    """Build the adapters of these kinds now, while nobody waits for them."""
    for kind in kinds:
        _adapter(kind)


def to_json(value: object) -> str:
    """A frozen value as JSON text."""
    kind: Any = type(value)
    return _adapter(kind).dump_json(value).decode()


def from_json(kind: type[T], text: str) -> T:
    """The value of this kind that `to_json` wrote.

    Raises:
        GputuiError: the text is not a value of this kind.
    """
    adaptable: Any = kind
    try:
        value: T = _adapter(adaptable).validate_json(text)
    except (ValidationError, RecursionError):
        problem = f"the state has a {kind.__name__} that is not understood"
        raise GputuiError(problem, "a newer gputui may have written it, or the file is damaged") from None
    return value
