"""Files of environment variables, as Compose reads them (12-interpolation.md, ".env file")."""

import re
from collections.abc import Mapping
from pathlib import Path

from gputui.domain.errors import UsageError
from gputui.domain.text import clean
from gputui.project.compose_yaml import interpolate

_NAME = re.compile(r"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*(?:[=:](.*))?$", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "$": "$"}


def read_env_file(path: Path, variables: Mapping[str, str], *, required: bool, where: str) -> dict[str, str]:
    """The variables of a file. Values in double quotes or without quotes may use other variables, those in single
    quotes are taken as they are; a name without a value takes the one that it has already.

    Raises:
        UsageError: it is required and cannot be read.
    """
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        if not required:
            return {}
        raise UsageError(f"{where}: {clean(str(path), 200)}: {error.strerror}", "check the path") from None
    found: dict[str, str] = {}
    lines = iter(text.removeprefix("\ufeff").splitlines())
    for line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _NAME.match(line)
        if match is None:
            continue
        name, value = match[1], match[2]
        if value is None:
            if name in variables:
                found[name] = variables[name]
            continue
        value = value.strip()
        while value[:1] in ("'", '"') and not _closed(value):
            following = next(lines, None)
            if following is None:
                break
            value += "\n" + following
        found[name] = _value(value, {**found, **variables}, f"{path.name}: {name}")
    return found


def _closed(value: str) -> bool:
    quote = value[0]
    return re.search(rf"(?<!\\){quote}", value[1:]) is not None


def _value(text: str, variables: Mapping[str, str], where: str) -> str:
    if text[:1] == "'":
        return text[1:].split("'", 1)[0]
    if text[:1] == '"':
        inner = re.split(r'(?<!\\)"', text[1:], maxsplit=1)[0]
        inner = re.sub(r'\\([nrt\\"$])', lambda match: "$$" if match[1] == "$" else _ESCAPES[match[1]], inner)
        return str(interpolate(inner, variables, where))
    plain = re.split(r"\s+#", text, maxsplit=1)[0].rstrip()
    return str(interpolate(plain, variables, where))
