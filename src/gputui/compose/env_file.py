"""Files of environment variables, as compose-go reads them (its dotenv/parser.go)."""

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
    path: Path, variables: Mapping[str, str], *, required: bool, where: object, raw: bool = False
) -> dict[str, str]:
    """The variables of a file. Values without quotes and in double quotes may use other variables, those in single
    quotes stay as they are; a name without a value takes the one that it has in `variables`. A `raw` file is one
    `NAME=value` a line, as `docker run --env-file` takes it.

    Raises:
        UsageError: it is required and cannot be read, or a line of it is none that Compose reads.
    """
    try:
        if path.is_dir() and not required:
            return {}
        with path.open("rb") as stream:
            data = stream.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:  # ValueError: the path has a NUL or half a letter
        if not required:
            return {}
        why = getattr(error, "strerror", None) or "no path that a file can have"
        raise UsageError(f"{where}: {clean(str(path), 200)}: {why}", "check the path") from None
    if len(data) > SIZE_LIMIT:
        raise UsageError(f"{clean(path.name, 100)}: larger than 4 MiB, which no env file is", "check the path")
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff").replace("\r\n", "\n")
    return _raw(text, variables) if raw else _Reader(text, variables, clean(path.name, 100)).read()


def _raw(text: str, variables: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.split("\n"):
        name, sign, value = line.lstrip().partition("=")
        if not name or name.startswith("#"):
            continue
        if sign:
            found[name] = value
        elif name in variables:
            found[name] = variables[name]
    return found


class _Reader:
    """One reading of a file; `_at` is the next character."""

    def __init__(self, text: str, variables: Mapping[str, str], name: str) -> None:
        self._text, self._variables, self._name = text, variables, name
        self._at = 0
        self._found: dict[str, str] = {}

    def read(self) -> dict[str, str]:
        """All variables."""
        while self._skip_to_statement():
            name, has_value = self._variable()
            if has_value:
                self._found[name] = self._value()
            elif name in self._variables:
                self._found[name] = self._variables[name]
        return self._found

    def _skip_to_statement(self) -> bool:
        while self._at < len(self._text):
            if self._text[self._at].isspace():
                self._at += 1
            elif self._text[self._at] == "#":
                self._at = self._end_of_line()
            else:
                return True
        return False

    def _end_of_line(self) -> int:
        end = self._text.find("\n", self._at)
        return len(self._text) if end < 0 else end

    def _where(self) -> str:
        return f"{self._name}:{self._text.count(chr(10), 0, self._at) + 1}"

    def _variable(self) -> tuple[str, bool]:
        """The next name, and whether a value follows."""
        export = _EXPORT.match(self._text, self._at)
        start = export.end() if export else self._at
        for at in range(start, len(self._text)):
            sign = self._text[at]
            if sign in "=:\n":
                name = self._text[start:at].rstrip()
                if " " in name:
                    raise UsageError(f"{self._where()}: a name with a blank in it", "write NAME=value")
                self._at = at + 1
                if sign != "\n":
                    while self._at < len(self._text) and self._text[self._at] in _BLANKS:
                        self._at += 1
                return name, sign != "\n"
            if not (sign in "_.-[]" or sign in _BLANKS or sign.isalnum()):
                what = f"{self._where()}: “{clean(sign, 4)}” in the name of a variable"
                raise UsageError(what, "write NAME=value, and quotes around values of several lines")
        name, self._at = self._text[start:].rstrip(), len(self._text)
        return name, False

    def _value(self) -> str:
        where = self._where()
        quote = self._text[self._at : self._at + 1]
        if quote not in ("'", '"'):
            end = self._end_of_line()
            plain, self._at = self._text[self._at : end], end
            return self._expanded(plain.partition(" #")[0].rstrip(), where)
        inner: list[str] = []
        at = self._at + 1
        while at < len(self._text):
            sign = self._text[at]
            following = self._text[at + 1 : at + 2]
            if sign == "\\" and following == quote:
                inner.append(quote)
                at += 2
            elif sign == "\\" and following:
                inner.append(sign + following)
                at += 2
            elif sign == quote:
                self._at = at + 1
                text = "".join(inner)
                if quote == "'":
                    return text
                return self._expanded(_ESCAPE.sub(_unescaped, text), where)
            else:
                inner.append(sign)
                at += 1
        raise UsageError(f"{where}: a value whose quotes are not closed", "close them")

    def _expanded(self, text: str, where: str) -> str:
        return substituted(text, {**self._found, **self._variables}, where)


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return _ESCAPED[code] if code in _ESCAPED else chr(int(code[1:] or "0", 8))
