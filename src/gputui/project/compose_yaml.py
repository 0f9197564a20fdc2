"""Compose files as data: YAML with the line of every key, `!reset` and `!override`, and interpolation.

By the Compose specification: section "Interpolation" (12-interpolation.md).
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gputui.domain.errors import UsageError
from gputui.domain.text import clean

SIZE_LIMIT = 10 * 2**20
"""Bytes; a larger Compose file is none."""


class Located(dict[str, Any]):
    """A mapping that knows its file and the line of each of its keys."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.file = file
        self.lines: dict[str, int] = {}
        self._files: dict[str, str] = {}

    def where(self, key: str) -> str:
        """`file:line: key`, for a message."""
        return f"{self._files.get(key, self.file)}:{self.lines.get(key, 1)}: {clean(key, 60)}"

    def take_place(self, other: "Located", key: str) -> None:
        """The key was taken from another mapping, and stands where it stands there."""
        self.lines[key] = other.lines.get(key, 1)
        self._files[key] = other._files.get(key, other.file)


class Reset:
    """`!reset`: the key goes, whatever other files say."""


class Override:
    """`!override`: the value replaces that of other files instead of being merged with it."""

    def __init__(self, value: Any) -> None:
        self.value = value


class PlainLoader(yaml.SafeLoader):
    """Scalars by YAML 1.2, as Compose reads them: `22:22` is a text and no number of base 60, `on` and `no` are
    texts."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in ("bool", "int", "float")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"^(?:[-+]?[1-9][0-9_]*|[-+]?0|0o[0-7]+|0x[0-9a-fA-F]+)$"), list("-+0123456789")
)
PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def _loader(file: str) -> type[yaml.SafeLoader]:
    class Loader(PlainLoader):
        """A safe loader of its own, so that its constructors stay out of everybody else's."""

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Located:
        loader.flatten_mapping(node)
        found = Located(file)
        merged = {id(pair[0]) for pair in node.value if pair[0].start_mark.line < node.start_mark.line}
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node, deep=True))
            if key in found and id(key_node) not in merged and found.lines[key] >= node.start_mark.line + 1:
                raise UsageError(
                    f"{file}:{key_node.start_mark.line + 1}: the key {clean(key, 60)} is there twice", "take one away"
                )
            found[key] = loader.construct_object(value_node, deep=True)
            found.lines[key] = key_node.start_mark.line + 1
        return found

    def override(loader: yaml.SafeLoader, node: yaml.Node) -> Override:
        if isinstance(node, yaml.MappingNode):
            return Override(mapping(loader, node))
        if isinstance(node, yaml.SequenceNode):
            return Override(loader.construct_sequence(node, deep=True))
        return Override(loader.construct_scalar(node))  # type: ignore[arg-type]

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    Loader.add_constructor("!reset", lambda _loader, _node: Reset())
    Loader.add_constructor("!override", override)
    return Loader


def load(path: Path) -> Located:
    """The mapping in a Compose file.

    Raises:
        UsageError: it is missing, unreadable, too large, not YAML, or not a mapping.
    """
    name = path.name
    try:
        with path.open("rb") as stream:
            raw = stream.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise UsageError(
            f"the Compose file {clean(str(path), 200)} does not exist", "name another with --file"
        ) from None
    except OSError as error:
        raise UsageError(
            f"the Compose file {clean(str(path), 200)} cannot be read: {error.strerror}", "check it"
        ) from None
    if len(raw) > SIZE_LIMIT:
        raise UsageError(f"{name}: larger than 10 MiB, which no Compose file is", "name another with --file")
    try:
        data = yaml.load(raw, Loader=_loader(name))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise UsageError(
            f"{name}:{line}: not YAML: {clean(str(error.problem or error), 120)}", "mend that line"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UsageError(f"{name}: not YAML: {clean(str(error).splitlines()[0], 120)}", "mend the file") from None
    if not isinstance(data, Located):
        raise UsageError(f"{name}:1: a Compose file is a mapping with services in it", "see `services:` in its manual")
    return data


_VARIABLE = re.compile(
    r"\$(?:(?P<escaped>\$)|(?P<plain>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:?[-?+])(?P<other>[^{}]*(?:\{[^{}]*\}[^{}]*)*))?\}|(?P<bad>))"
)


def interpolate(value: Any, variables: Mapping[str, str], where: str) -> Any:
    """The value with `$NAME` and `${NAME...}` replaced, `$$` being a dollar.

    Raises:
        UsageError: a variable that must be set is not, or the form is not known.
    """
    if isinstance(value, str) and "$" in value:
        return _VARIABLE.sub(_replacement(variables, where), value)
    if isinstance(value, Located):
        for key, inner in value.items():
            value[key] = interpolate(inner, variables, value.where(key))
        return value
    if isinstance(value, Override):
        return Override(interpolate(value.value, variables, where))
    if isinstance(value, list):
        return [interpolate(inner, variables, where) for inner in value]
    return value


def _replacement(variables: Mapping[str, str], where: str) -> Callable[[re.Match[str]], str]:
    def replace(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "$"
        name = match["plain"] or match["name"]
        if not name:
            raise UsageError(f"{where}: a $ that begins no variable", "write $$ for a dollar sign")
        how, other = match["how"] or "", match["other"] or ""
        value = variables.get(name)
        is_set = value is not None and (value != "" or not how.startswith(":"))
        if how.endswith("-"):
            return value if is_set and value is not None else str(interpolate(other, variables, where))
        if how.endswith("+"):
            return str(interpolate(other, variables, where)) if is_set else ""
        if how.endswith("?") and not is_set:
            raise UsageError(f"{where}: the variable {name} is not set: {clean(other, 100) or 'it must be'}", "set it")
        return value or ""

    return replace
