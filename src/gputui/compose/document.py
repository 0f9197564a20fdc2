"""Loads Compose files: YAML with the line of every key, and the tags `!reset` and `!override`."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from gputui.domain.errors import UsageError
from gputui.domain.plain_yaml import FAULTS
from gputui.domain.text import clean

SIZE_LIMIT = 10 * 2**20
"""Bytes; larger files are rejected."""


class Located(dict[str, Any]):
    """A mapping that knows its file and the line of each key."""

    def __init__(self, file: str, values: Mapping[str, Any] | None = None) -> None:
        super().__init__(values or {})
        self.file = file
        self.lines: dict[str, int] = {}
        self._files: dict[str, str] = {}

    def position(self, key: str) -> tuple[str, int]:
        """File and line of a key."""
        return self._files.get(key, self.file), self.lines.get(key, 1)

    def take_place(self, source: "Located", key: str) -> None:
        """Copy the position of a key from another mapping."""
        self._files[key], self.lines[key] = source.position(key)


@dataclass(frozen=True, slots=True)
class Place:
    """The location of a value: file, line, and key path. `directory` is the base of its relative paths."""

    file: str
    line: int = 1
    path: tuple[str, ...] = ()
    directory: Path = Path()

    def of(self, mapping: Mapping[str, Any], key: str) -> "Place":
        """The place of a value inside a mapping; without line information, the line of the mapping."""
        path = (*self.path, key)
        if isinstance(mapping, Located) and key in mapping.lines:
            file, line = mapping.position(key)
            return replace(self, file=file, line=line, path=path)
        return replace(self, path=path)

    @property
    def key(self) -> str:
        """The dotted key path; for a service without its name, which the line number identifies."""
        inner = self.path[2:] if self.path[:1] == ("services",) and len(self.path) > 2 else self.path
        return clean(".".join(inner), 80)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f": {self.key}" if self.path else "")

    def refuses(self, problem: str, fix: str = "") -> UsageError:
        """The error to raise for an invalid value at this place."""
        return UsageError(f"{self}: {problem}", fix or f"see the Compose manual on {self.key}")


class Reset:
    """`!reset`: removes the key, also from earlier files."""


class Override:
    """`!override`: the value replaces that of earlier files instead of being merged with it."""

    def __init__(self, value: Any) -> None:
        self.value = value


_OWN_TAGS = ("bool", "int", "float", "value")


class _Loader(yaml.SafeLoader):
    """Resolves scalars as go-yaml does (YAML 1.2 with parts of 1.1): `22:22`, `on` and `no` are strings, `010` is 8."""

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in _OWN_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0[0-7_]*|[1-9][0-9_]*)$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
_DIGITS_LIMIT = 400


def _int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | float | str:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    if len(text) > _DIGITS_LIMIT:
        return str(node.value)
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    for prefix, base in (("0b", 2), ("0o", 8), ("0x", 16)):
        if digits.startswith(prefix):
            return sign * int(digits[2:] or "0", base)
    number = sign * int(digits, 8 if digits.startswith("0") and len(digits) > 1 else 10)
    return number if -(2**63) <= number < 2**64 else float(number)


def _float(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float | str:
    text = str(loader.construct_scalar(node)).replace("_", "").lower()
    special = {".inf": float("inf"), "+.inf": float("inf"), "-.inf": float("-inf"), ".nan": float("nan")}
    number = special[text] if text in special else float(text)
    return number if text in special or math.isfinite(number) else str(node.value)


def _timestamp(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> object:
    """A date, or a string if it only looks like one."""
    try:
        return loader.construct_yaml_timestamp(node)
    except (ValueError, AttributeError):
        return str(node.value)


def _loader(file: str) -> type[yaml.SafeLoader]:
    class Loader(_Loader):
        """A subclass per file, so that its constructors do not leak into other loaders."""

    def mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> Located:
        direct_ids = {id(key_node) for key_node, _ in node.value}
        loader.flatten_mapping(node)  # resolves `<<` merge keys
        located = Located(file)
        direct_keys: set[str] = set()
        for key_node, value_node in node.value:
            key = str(loader.construct_object(key_node, deep=True))
            if id(key_node) in direct_ids:
                if key in direct_keys:
                    position = f"{file}:{key_node.start_mark.line + 1}"
                    raise UsageError(f"{position}: the key {clean(key, 60)} is there twice", "take one away")
                direct_keys.add(key)
            located[key] = loader.construct_object(value_node, deep=True)
            located.lines[key] = key_node.start_mark.line + 1
        return located

    def override(loader: yaml.SafeLoader, node: yaml.Node) -> Override:
        if isinstance(node, yaml.MappingNode):
            return Override(mapping(loader, node))
        if isinstance(node, yaml.SequenceNode):
            return Override(loader.construct_sequence(node, deep=True))
        tag = loader.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
        return Override(loader.construct_object(yaml.ScalarNode(tag, node.value)))

    Loader.add_constructor("tag:yaml.org,2002:map", mapping)
    Loader.add_constructor("tag:yaml.org,2002:int", _int)
    Loader.add_constructor("tag:yaml.org,2002:float", _float)
    Loader.add_constructor("tag:yaml.org,2002:timestamp", _timestamp)
    Loader.add_constructor("!reset", lambda _loader, _node: Reset())
    Loader.add_constructor("!override", override)
    return Loader


def load(path: Path) -> list[Located]:
    """The mappings in a Compose file, one per YAML document.

    Raises:
        UsageError: it is missing, unreadable, too large, not YAML, or not a mapping.
    """
    name = path.name
    path_text = clean(str(path), 200)
    try:
        with path.open("rb") as stream:
            raw = stream.read(SIZE_LIMIT + 1)
    except FileNotFoundError:
        raise UsageError(f"the Compose file {path_text} does not exist", "name another with --file") from None
    except OSError as error:
        raise UsageError(f"the Compose file {path_text} cannot be read: {error.strerror}", "check it") from None
    if len(raw) > SIZE_LIMIT:
        raise UsageError(f"{name}: larger than 10 MiB, which no Compose file is", "name another with --file")
    try:
        documents = list(yaml.load_all(raw, Loader=_loader(name)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        text = clean(str(error.problem or error), 120)
        raise UsageError(f"{name}:{line}: not YAML: {text}", "correct that line") from None
    except FAULTS as error:
        raise UsageError(f"{name}: not YAML: {clean(str(error), 120)}", "correct the file") from None
    if not documents or not all(isinstance(document, Located) for document in documents):
        raise UsageError(f"{name}:1: a Compose file is a mapping with services in it", "see `services:` in its manual")
    return documents


def without_tags(value: Any) -> tuple[Any, list[tuple[str, ...]]]:
    """The value with `!override` unwrapped and `!reset` removed, and the paths of both, which earlier files must
    lose."""
    removed_paths: list[tuple[str, ...]] = []
    return _plain(value, (), removed_paths), removed_paths


def _plain(value: Any, path: tuple[str, ...], removed_paths: list[tuple[str, ...]]) -> Any:
    if isinstance(value, Override):
        removed_paths.append(path)
        return _plain(value.value, path, [])
    if isinstance(value, Located):
        plain = Located(value.file)
        for key, inner in value.items():
            if isinstance(inner, Reset):
                removed_paths.append((*path, key))
                continue
            plain[key] = _plain(inner, (*path, key), removed_paths)
            plain.take_place(value, key)
        return plain
    if isinstance(value, list):
        return [_plain(inner, path, []) for inner in value if not isinstance(inner, Reset)]
    return value


def forget(value: dict[str, Any], path: tuple[str, ...]) -> None:
    """Delete the value at this path, if there is one."""
    for key in path[:-1]:
        inner = value.get(key)
        if not isinstance(inner, dict):
            return
        value = inner
    if path:
        value.pop(path[-1], None)


def places(value: Mapping[str, Any], place: Place) -> Iterator[tuple[str, Any, Place]]:
    """Each key of a mapping with its value and place."""
    for key, inner in value.items():
        yield key, inner, place.of(value, key)
