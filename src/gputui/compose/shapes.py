"""Shapes of values in Compose files: each converts a value to the form that `docker compose config` prints, or rejects
it with its place."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gputui.compose.document import Located, Place, places
from gputui.compose.scalars import as_text, duration_ns, duration_text, excerpt, size_bytes, to_bool, to_int
from gputui.domain.text import real_number

Shape = Callable[[Any, Place], Any]


def mapping(value: Any, place: Place) -> Located:
    """A mapping.

    Raises:
        UsageError: the value has another type; all shapes raise this.
    """
    if not isinstance(value, Located):
        raise place.refuses("a mapping is expected")
    return value


def anything(value: Any, place: Place) -> Any:
    """The value as it is."""
    del place
    return value


def text(value: Any, place: Place) -> str:
    """A string; numbers are rejected, because their formatting is ambiguous."""
    if not isinstance(value, str):
        raise place.refuses(f"“{excerpt(value)}” is not a text", "put quotes around it")
    return value


def boolean(value: Any, place: Place) -> bool:
    """True or false."""
    return to_bool(value, place)


def integer(least: int | None = None, most: int | None = None) -> Shape:
    """An integer within this range."""
    return lambda value, place: to_int(value, place, least=least, most=most)


def number(value: Any, place: Place) -> float | int:
    """A number."""
    parsed = real_number(value)
    if parsed is None:
        raise place.refuses(f"“{excerpt(value)}” is not a number", "write it like 1.5")
    return int(parsed) if parsed.is_integer() else parsed


def size(value: Any, place: Place) -> str | None:
    """A size in bytes, as a string. Compose silently drops floats."""
    if isinstance(value, bool):
        raise place.refuses(f"“{excerpt(value)}” is not a size", "write it like 512mb or 8g")
    if isinstance(value, int):
        return str(value) if value else None
    if isinstance(value, float):
        return None
    return str(size_bytes(text(value, place), place) or "") or None


def duration(value: Any, place: Place) -> str:
    """A duration, as Go formats it."""
    return duration_text(duration_ns(text(value, place), place))


def one_of(*allowed: str) -> Shape:
    """One of these strings."""

    def shape(value: Any, place: Place) -> str:
        if text(value, place) not in allowed:
            raise place.refuses(f"“{excerpt(value)}” is not known", f"write {', '.join(allowed)}")
        return str(value)

    return shape


def scalar_text(value: Any, place: Place) -> str | None:
    """A scalar as a string."""
    if value is not None and not isinstance(value, (str, int, float, bool)):
        raise place.refuses(f"“{excerpt(value)}” is not a text or a number", "put quotes around it")
    return as_text(value)


def sequence(item: Shape, *, unique: bool = False, distinct: bool = False) -> Shape:
    """A list; `unique` drops duplicates, `distinct` rejects them."""

    def shape(value: Any, place: Place) -> list[Any]:
        if not isinstance(value, list):
            raise place.refuses("a list is expected")
        values = [item(entry, place) for entry in value]
        if distinct and len(unrepeated(value)) < len(value):
            raise place.refuses("the same stands there twice", "take one away")
        return unrepeated(values) if unique else values

    return shape


def unrepeated(values: Sequence[Any]) -> list[Any]:
    """The values without duplicates, in order."""
    unique: list[Any] = []
    for value in values:
        if value not in unique:
            unique.append(value)
    return unique


def texts(value: Any, place: Place) -> list[str]:
    """A list of strings."""
    return [text(entry, place) for entry in sequence(anything)(value, place)]


def pairs(value: Any, place: Place) -> dict[str, str | None]:
    """A mapping of strings, which may also be written as a list of `name=value`; None is a name without a value."""
    if isinstance(value, list):
        values_by_name: dict[str, str | None] = {}
        for entry in value:
            name, sign, text_value = text(entry, place).partition("=")
            values_by_name[name] = text_value if sign else None
        return values_by_name
    return {key: scalar_text(inner, key_place) for key, inner, key_place in places(mapping(value, place), place)}


def text_pairs(value: Any, place: Place) -> dict[str, str]:
    """Like `pairs`, but a name without a value has an empty one."""
    return {key: inner or "" for key, inner in pairs(value, place).items()}


def record(fields: Mapping[str, Shape], required: Sequence[str] = (), *, opened: bool = False) -> Shape:
    """A mapping with these keys; `opened`: others are ignored."""

    def shape(value: Any, place: Place) -> Located:
        entry = mapping(value, place)
        record_values = Located(entry.file)
        for key, inner, key_place in places(entry, place):
            if key in fields:
                canonical = None if inner is None else fields[key](inner, key_place)
                if canonical is not None:
                    record_values[key] = canonical
            elif key.startswith("x-"):
                record_values[key] = inner
            elif not opened:
                raise key_place.refuses("not a key that is known here", f"known are {', '.join(fields)}")
            if key in record_values:
                record_values.take_place(entry, key)
        missing = next((key for key in required if record_values.get(key) is None), None)
        if missing is not None:
            raise place.refuses(f"{missing} is missing", f"add {missing}")
        return record_values

    return shape


def by_name(item: Shape, *, bare: bool = False) -> Shape:
    """A mapping from names to values of one shape; `bare`: a list of names is a mapping to None."""

    def shape(value: Any, place: Place) -> Located:
        if bare and isinstance(value, list):
            names = Located(place.file)
            for name in value:
                names[text(name, place)] = None
            return names
        entry = mapping(value, place)
        values = Located(entry.file)
        for key, inner, key_place in places(entry, place):
            values[key] = None if inner is None else item(inner, key_place)
            values.take_place(entry, key)
        return values

    return shape
