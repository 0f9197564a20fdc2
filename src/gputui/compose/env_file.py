"""Parses env files as compose-go does (its dotenv/parser.go)."""

import re
from collections.abc import Mapping
from pathlib import Path

from gputui.compose.interpolation import substituted
from gputui.domain.errors import UsageError
from gputui.domain.text import clean

SIZE_LIMIT = 4 * 2**20
_BLANKS = " \t\v\f\r\x85\xa0"
_EXPORT = re.compile(r"export[ \t\v\f\r\x85\xa0\n]+")
_ESCAPE = re.compile(r'\\([abfnrtv$"\\]|0[0-7]{0,3})')
_ESCAPED = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    '"': '"',
    "\\": "\\",
    "$": "$$",
}


def read_env_file(
    path: Path, variables: Mapping[str, str], *, required: bool, location: object, raw: bool = False
) -> dict[str, str]:
    """The variables of a file. Unquoted and double-quoted values may refer to other variables, single-quoted ones are
    literal; a name without a value is looked up in `variables`. A `raw` file has one `NAME=value` per line, as for
    `docker run --env-file`.

    Raises:
        UsageError: it is required and cannot be read, or contains a line that Compose rejects.
    """
    try:
        if path.is_dir() and not required:
            return {}
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL or a lone surrogate
        if not required:
            return {}
        reason = getattr(error, "strerror", None) or "no path that a file can have"
        raise UsageError(f"{location}: {clean(str(path), 200)}: {reason}", "check the path") from None
    if len(data) > SIZE_LIMIT:
        raise UsageError(f"{clean(path.name, 100)}: larger than 4 MiB, which no env file is", "check the path")
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff").replace("\r\n", "\n")
    return _raw(text, variables) if raw else _Reader(text, variables, clean(path.name, 100)).read()


def _raw(text: str, variables: Mapping[str, str]) -> dict[str, str]:
    file_variables: dict[str, str] = {}
    for line in text.split("\n"):
        name, sign, value = line.lstrip().partition("=")
        if not name or name.startswith("#"):
            continue
        if sign:
            file_variables[name] = value
        elif name in variables:
            file_variables[name] = variables[name]
    return file_variables


class _Reader:
    """A parser for one file; `_position` is the index of the next character."""

    def __init__(self, text: str, variables: Mapping[str, str], name: str) -> None:
        self._text, self._variables, self._name = text, variables, name
        self._position = 0
        self._values: dict[str, str] = {}

    def read(self) -> dict[str, str]:
        """All variables."""
        while self._skip_to_statement():
            name, has_value = self._variable()
            if has_value:
                self._values[name] = self._value()
            elif name in self._variables:
                self._values[name] = self._variables[name]
        return self._values

    def _skip_to_statement(self) -> bool:
        while self._position < len(self._text):
            if self._text[self._position].isspace():
                self._position += 1
            elif self._text[self._position] == "#":
                self._position = self._end_of_line()
            else:
                return True
        return False

    def _end_of_line(self) -> int:
        end = self._text.find("\n", self._position)
        return len(self._text) if end < 0 else end

    def _location(self) -> str:
        return f"{self._name}:{self._text.count(chr(10), 0, self._position) + 1}"

    def _variable(self) -> tuple[str, bool]:
        """The next variable name, and whether a value follows."""
        export = _EXPORT.match(self._text, self._position)
        start = export.end() if export else self._position
        for index in range(start, len(self._text)):
            sign = self._text[index]
            if sign in "=:\n":
                name = self._text[start:index].rstrip()
                if " " in name:
                    raise UsageError(f"{self._location()}: a name with a blank in it", "write NAME=value")
                self._position = index + 1
                if sign != "\n":
                    while self._position < len(self._text) and self._text[self._position] in _BLANKS:
                        self._position += 1
                return name, sign != "\n"
            if not (sign in "_.-[]" or sign in _BLANKS or sign.isalnum()):
                problem = f"{self._location()}: “{clean(sign, 4)}” in the name of a variable"
                raise UsageError(problem, "write NAME=value, and quotes around values of several lines")
        name, self._position = self._text[start:].rstrip(), len(self._text)
        return name, False

    def _value(self) -> str:
        location = self._location()
        quote = self._text[self._position : self._position + 1]
        if quote not in ("'", '"'):
            end = self._end_of_line()
            plain, self._position = self._text[self._position : end], end
            return self._expanded(plain.partition(" #")[0].rstrip(), location)
        inner: list[str] = []
        index = self._position + 1
        while index < len(self._text):
            sign = self._text[index]
            following = self._text[index + 1 : index + 2]
            if sign == "\\" and following == quote:
                inner.append(quote)
                index += 2
            elif sign == "\\" and following:
                inner.append(sign + following)
                index += 2
            elif sign == quote:
                self._position = index + 1
                text = "".join(inner)
                if quote == "'":
                    return text
                return self._expanded(_ESCAPE.sub(_unescaped, text), location)
            else:
                inner.append(sign)
                index += 1
        raise UsageError(f"{location}: a value whose quotes are not closed", "close them")

    def _expanded(self, text: str, location: str) -> str:
        return substituted(text, {**self._values, **self._variables}, location)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return _ESCAPED[code] if code in _ESCAPED else chr(int(code[1:] or "0", 8))
