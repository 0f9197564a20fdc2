"""The options of a serving program, parsed from command lines as people write them."""

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gputui.domain.launch import WORD_LENGTH, Launch, script_place
from gputui.domain.text import mapping, real_number

_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_SERVER = re.compile(
    r"vllm|sglang|trtllm|text-generation|text-embeddings|llama-server|llama\.cpp|lmdeploy|ollama|torchrun|accelerate"
    r"|python|\.sh$"
)
"""Names of serving programs, to find the server among the commands of a script."""
_REDIRECTION = re.compile(r"\d?[<>]{1,2}\s*(?:&\d|[^\s;&|]+)|&>{1,2}\s*[^\s;&|]+")
_ENGINE = re.compile(r"vllm|sglang|api_server|launch_server|trtllm|lmdeploy|text_generation")
_COMMENT = re.compile(r"(?:^|(?<=\s))#[^\n]*", re.MULTILINE)
_OPTION = re.compile(r"^--?[A-Za-z]")


SHORTEST_BEGINNING = 8
LONGEST_OBJECT = 100_000


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The words of the serving program. `opaque`: a script decides how it is called; `from_shell`: a shell split the
    words."""

    words: tuple[str, ...]
    opaque: bool = False
    from_shell: bool = False


def command_line(words: Sequence[str], environment: Mapping[str, str]) -> CommandLine:
    """The words that the program receives, with a shell wrapper removed as far as static parsing allows.

    Variables are substituted where the container's known environment has them. In a script with several commands the
    last one with an option is the server; those before it prepare.
    """
    place = script_place(words)
    if place is not None:
        return _from_script(words[place], environment)
    return CommandLine(tuple(words), opaque=is_own_script(words))


_WRAPPERS = ("exec", "env", "tini", "dumb-init", "--", "-g", "-s", "uv", "run")
_ENTRIES = re.compile(r"(?:nvidia_entrypoint|tgi-entrypoint|docker-entrypoint)\.sh$")
"""Entrypoint scripts of images that run the words after them."""


def _unwrapped(words: Sequence[str]) -> list[str]:
    """The command without wrappers that only run the words after them."""
    command = list(words)
    while command and (command[0].rsplit("/", 1)[-1] in _WRAPPERS or _ENTRIES.search(command[0])):
        del command[0]
    return command


@lru_cache(maxsize=4096)
def served_line(launch: Launch) -> CommandLine:
    """The words that the serving program receives; cached, since parsing a script is slow."""
    return command_line(launch.words, launch.environment)


def is_own_script(words: Sequence[str]) -> bool:
    """Whether the command runs a custom shell script, which may call the server with any options."""
    command = _unwrapped(words)
    if not command or command[0].startswith("-"):
        return False
    program = command[0].rsplit("/", 1)[-1]
    if program in ("sh", "bash", "dash", "ash", "zsh"):
        return len(command) > 1
    if program.startswith("python"):
        scripts = [word for word in command[1:] if word.endswith(".py")]
        return bool(scripts) and command[1:2] != ["-m"] and not any(_ENGINE.search(word) for word in scripts[:1])
    # A program that follows such a script is what the script runs.
    return command[0].endswith(".sh") and not any(_SERVER.search(word) for word in command[1:3])


def is_unknown_program(words: Sequence[str]) -> bool:
    """Whether the command runs an unknown program by its path, without options."""
    command = _unwrapped(words)
    return (
        bool(command)
        and command[0].startswith("/")
        and not any(_SERVER.search(word) or word[:1] == "-" for word in command)
    )


def _from_script(script: str, environment: Mapping[str, str]) -> CommandLine:
    opaque = "$(" in script or "`" in script or re.search(r"\b(if|for|while|case|eval)\b", script) is not None
    missing = False

    def value(match: re.Match[str]) -> str:
        nonlocal missing
        name, otherwise = match[1] or match[3], match[2]
        if name in environment:
            return environment[name]
        missing = missing or otherwise is None
        return otherwise if otherwise is not None else match[0]

    script = _REDIRECTION.sub(" ", _COMMENT.sub(" ", script.replace("\\\n", " ")))
    try:
        lexer = shlex.shlex(_VARIABLE.sub(value, script), posix=True, punctuation_chars=";&|\n")
        lexer.whitespace = " \t\r"
        lexer.whitespace_split = True
        lexer.commenters = ""
        tokens = list(lexer)
    except ValueError:
        return CommandLine((), opaque=True, from_shell=True)
    chosen = _server(_commands(tokens))
    if chosen[:1] == ["exec"]:
        chosen = chosen[1:]
    return CommandLine(tuple(chosen), opaque or missing or is_own_script(chosen), from_shell=True)


def _commands(tokens: Sequence[str]) -> list[list[str]]:
    """The commands of a script, without those that only read another's output."""
    commands: list[list[str]] = [[]]
    reads = False
    for token in tokens:
        if token and not token.strip(";&|\n"):
            reads = token == "|"
            commands.append([])
        elif not reads:
            commands[-1].append(token)
    return [command for command in commands if command]


def _server(commands: Sequence[list[str]]) -> list[str]:
    """The serving command: the last one that runs a known server, else the last one with options."""
    servers = [command for command in commands if any(_SERVER.search(word) for word in command[:6])]
    with_options = [command for command in commands if any(_OPTION.match(word) for word in command)]
    served = [command for command in servers if command in with_options] or servers or with_options or list(commands)
    return served[-1] if served else []


@dataclass(frozen=True, slots=True)
class Options:
    """Option values by canonical name. `unread` options have a value that cannot be determined. `joined` options share
    one list item with their value, which no program accepts; each comes with that item."""

    values: Mapping[str, str]
    switches: frozenset[str]
    unread: frozenset[str]
    opaque: bool
    joined: tuple[tuple[str, str], ...] = ()

    def known(self, name: str) -> bool:
        """Whether it can be determined if this option is set, and to what."""
        return name in self.values or (name not in self.unread and not self.opaque)

    def text(self, name: str) -> str | None:
        """The value of an option; None if it is not set."""
        return self.values.get(name)

    def on(self, name: str) -> bool:
        """Whether a switch is set."""
        return name in self.switches or self.values.get(name, "").lower() in ("true", "1", "on", "yes")


def read_options(
    line: CommandLine,
    environment: Mapping[str, str],
    aliases: Mapping[str, Sequence[str]],
    variables: Mapping[str, Sequence[str]],
    repeated: Collection[str] = (),
) -> Options:
    """The options in `aliases`: canonical name → all its spellings (`_` and `-` are the same). Values of `repeated`
    options are joined by commas.

    `variables` are the environment variables for the same options; the command line wins, and an option's last
    occurrence wins, as in argparse.
    """
    by_spelling = {_plain(spelling): name for name, spellings in aliases.items() for spelling in (name, *spellings)}
    values: dict[str, str] = {}
    switches: set[str] = set()
    unread: set[str] = set()
    joined: list[tuple[str, str]] = []
    objects: dict[str, list[tuple[list[str], str | None]]] = {}
    words = line.words
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        spelled, sign, inline = word.partition("=")
        name = _option_name(spelled, by_spelling) if word.startswith("-") else None
        base, path = _dotted(spelled, by_spelling)
        name = name if base is None else base
        if not line.from_shell and not line.opaque and (option := _joined(word, by_spelling)) is not None:
            joined.append((option, word[:80]))
            continue
        if name is None:
            continue
        following = words[place] if place < len(words) else None
        if sign:
            value: str | None = inline
        elif following is not None and not _OPTION.match(following):
            value, place = following, place + 1
        else:
            value = None
        if path:
            objects.setdefault(name, []).append((path, value))
            continue
        switches.discard(name)
        previous = values.pop(name, None)
        unread.discard(name)
        if value is None:
            switches.add(name)
        elif "$" in value:
            unread.add(name)
        else:
            value = value.strip("\"'")
            values[name] = f"{previous},{value}" if previous is not None and name in repeated else value
    unset = [name for name in variables if name not in values and name not in switches and name not in unread]
    by_variable = {
        name: next((environment[variable] for variable in variables[name] if environment.get(variable)), "")
        for name in unset
    }
    values |= {name: value for name, value in by_variable.items() if value}
    values |= {name: with_parts(values.get(name), parts) for name, parts in objects.items()}
    return Options(values, frozenset(switches), frozenset(unread), line.opaque, tuple(joined))


def _dotted(spelled: str, by_spelling: Mapping[str, str]) -> tuple[str | None, list[str]]:
    """The option and the path within its JSON object that `--hf-overrides.rope_scaling.factor` sets."""
    base, dot, path = spelled.partition(".")
    name = by_spelling.get(_plain(base)) if dot and spelled.startswith("-") else None
    return (None, []) if name is None or not path else (name, path.split(".")[:DEEPEST_PATH])


DEEPEST_PATH = 6


def with_parts(text: str | None, parts: Sequence[tuple[list[str], str | None]]) -> str:
    """The JSON object of an option, with the values of its dotted options merged in."""
    merged: dict[str, Any] = dict(json_object(text))
    for path, value in parts:
        branch = merged
        for key in path[:-1]:
            inner = branch.get(key)
            branch[key] = dict(inner) if isinstance(inner, Mapping) else {}
            branch = branch[key]
        branch[path[-1]] = _parsed(value)
    return json.dumps(merged)


def _parsed(value: str | None) -> Any:
    if value is None:
        return True
    try:
        return json.loads(value[:WORD_LENGTH])
    except (ValueError, RecursionError):
        return value


def json_object(text: str | None) -> Mapping[str, Any]:
    """The JSON object of an option; empty if it is not one."""
    if text is None or len(text) > LONGEST_OBJECT:
        return {}
    try:
        return mapping(json.loads(text))
    except (ValueError, RecursionError):
        return {}


_JOINED = re.compile(r"(--?[A-Za-z][\w.-]*)\s+\S")


def _joined(word: str, by_spelling: Mapping[str, str]) -> str | None:
    """The option that a list item such as `--max-model-len 8192` starts with."""
    match = _JOINED.match(word)
    if match is None:
        return None
    return match[1] if match[1].startswith("--") or _plain(match[1]) in by_spelling else None


def _option_name(spelled: str, by_spelling: Mapping[str, str]) -> str | None:
    """The canonical option; like argparse, accepts an unambiguous prefix."""
    plain = _plain(spelled)
    if plain in by_spelling or not plain.startswith("--") or len(plain) < SHORTEST_BEGINNING:
        return by_spelling.get(plain)
    meant = {name for spelling, name in by_spelling.items() if spelling.startswith(plain)}
    return meant.pop() if len(meant) == 1 else None


def _plain(spelling: str) -> str:
    """`--tensor_parallel_size` and `--tensor-parallel-size` are the same; single letters keep their case."""
    dashes = "--" if spelling.startswith("--") else "-"
    return dashes + spelling.lstrip("-").replace("_", "-")


def whole_number(text: str) -> int | None:
    """An integer in the engines' notation: `8192`, `32k` (1000) or `32K` (1024)."""
    match = re.fullmatch(r"\s*(-?\d{1,12}(?:\.\d{1,6})?)\s*([kKmMgG]?)\s*", text)
    if match is None or ("." in match[1] and not match[2]):
        return None
    factors = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "K": 2**10, "M": 2**20, "G": 2**30}
    return int(float(match[1]) * factors[match[2]])


def fraction(text: str) -> float | None:
    """A number above 0 and at most 1; None for anything else, NaN included."""
    value = real_number(text)
    return value if value is not None and 0 < value <= 1 else None
