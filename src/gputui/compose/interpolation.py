"""Interpolates `$NAME` and `${NAME…}` in Compose files as compose-go does (its template/template.go)."""

import re
from collections.abc import Mapping
from typing import Any

from gputui.compose.document import Located, Override, Place
from gputui.domain.errors import UsageError
from gputui.domain.text import clean

_NAME = re.compile(r"[_a-zA-Z][_a-zA-Z0-9]*")
_OPERATORS = (":-", "-", ":+", "+", ":?", "?")
_DEPTH = 100


def interpolated(value: Any, variables: Mapping[str, str], place: Place) -> Any:
    """The value with variables interpolated in all strings; keys stay as they are.

    Raises:
        UsageError: a required variable is not set, or an expression after `${` is invalid.
    """
    if isinstance(value, str):
        return substituted(value, variables, place) if "$" in value else value
    if isinstance(value, Located):
        filled = Located(value.file)
        for key, inner in value.items():
            filled[key] = interpolated(inner, variables, place.of(value, key))
            filled.take_place(value, key)
        return filled
    if isinstance(value, Override):
        return Override(interpolated(value.value, variables, place))
    if isinstance(value, list):
        return [interpolated(inner, variables, place) for inner in value]
    return value


def substituted(text: str, variables: Mapping[str, str], place: object, depth: int = 0) -> str:
    """The text with variables interpolated. `$$` is a dollar sign, and so is one that does not start a variable.

    Raises:
        UsageError: as `interpolated`.
    """
    if depth > _DEPTH:
        raise UsageError(f"{place}: variables inside each other more than {_DEPTH} deep", "write it simpler")
    pieces: list[str] = []
    position = 0
    while (dollar := text.find("$", position)) >= 0:
        pieces.append(text[position:dollar])
        following = text[dollar + 1 : dollar + 2]
        name = _NAME.match(text, dollar + 1)
        if following == "$":
            pieces.append("$")
            position = dollar + 2
        elif name is not None:
            pieces.append(variables.get(name[0], ""))
            position = name.end()
        elif following == "{":
            end = _end_of(text, dollar + 2)
            if end is None:
                raise _invalid(text, place)
            pieces.append(_braced(text[dollar + 2 : end], variables, place, depth))
            position = end + 1
        else:
            pieces.append("$")
            position = dollar + 1
    return "".join((*pieces, text[position:]))


def _end_of(text: str, start: int) -> int | None:
    """The index of the brace that closes the one just before `start`."""
    depth = 1
    for position in range(start, len(text)):
        if text[position] == "\n":
            return None
        depth += (text[position] == "{") - (text[position] == "}")
        if depth == 0:
            return position
    return None


def _braced(inner: str, variables: Mapping[str, str], place: object, depth: int) -> str:
    name = _NAME.match(inner)
    if name is None:
        raise _invalid(f"${{{inner}}}", place)
    suffix = inner[name.end() :]
    value = variables.get(name[0])
    if not suffix:
        return value or ""
    operator = next((candidate for candidate in _OPERATORS if suffix.startswith(candidate)), None)
    if operator is None:
        raise _invalid(f"${{{inner}}}", place)
    operand = suffix[len(operator) :]
    is_set = value is not None and (value != "" or not operator.startswith(":"))
    if operator.endswith("-"):
        return value if is_set and value is not None else substituted(operand, variables, place, depth + 1)
    if operator.endswith("+"):
        return substituted(operand, variables, place, depth + 1) if is_set else ""
    if not is_set:
        reason = clean(substituted(operand, variables, place, depth + 1), 100) or "it must be"
        raise UsageError(
            f"{place}: the variable {name[0]} is not set: {reason}", "set it in the environment or in .env"
        )
    return value or ""


def _invalid(text: str, place: object) -> UsageError:
    return UsageError(f"{place}: “{clean(text, 80)}” is no variable that Compose knows", "write $$ for a dollar sign")
