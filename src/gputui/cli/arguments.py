"""Parses the command line: the options before the verb, and the verb with its own."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NoReturn

from gputui import __version__
from gputui.cli.argument_types import interval, path_alias
from gputui.cli.verb import Verb, completes
from gputui.cli.verbs import FILES, load
from gputui.domain.injection import MECHANISMS

SCENARIO_NAMES = ("h100-server", "workstation", "mixed-server")
EXIT_CODES = (
    (0, "done"),
    (1, "findings of severity error, or unhealthy"),
    (2, "bad usage or input, or a question without a terminal to ask at"),
    (3, "the engine or NVML cannot be reached"),
    (4, "the apply failed and was rolled back"),
    (5, "the apply failed: manual action required"),
    (70, "a defect in gputui"),
)


class Parser(argparse.ArgumentParser):
    """Reports errors in two lines: the problem, and what to do."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        message = message.replace(", 'carry-out'", "")  # an internal verb
        sys.stderr.write(f"gputui: {message}\ngputui: see `{self.prog} --help`\n")
        sys.exit(2)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The parsed command line, with the `Verb` as `definition`; exits with 2 if it is invalid."""
    words = _with_scenario(arguments)
    word = next(_positionals(words), None)
    if word in FILES:
        verbs = [load(word)]
    else:  # the screen needs none; the help and the error for an unknown verb need all of them
        is_screen = word is None and not {"-h", "--help"} & set(words)
        verbs = [] if is_screen or word == "carry-out" else [load(name) for name in FILES]
    parser = parser_of(verbs)
    method = os.environ.get("GPUTUI_MECHANISM")
    if method and method not in MECHANISMS:
        parser.error(f"GPUTUI_MECHANISM={method!r} is none of {', '.join(MECHANISMS)}")
    parsed = parser.parse_args(words)
    parsed.mechanism = parsed.mechanism or method or None
    parsed.definition = verbs[0] if word in FILES else None
    return parsed


def _with_scenario(arguments: Sequence[str]) -> list[str]:
    """Join `--demo` with its value, if it is followed by neither an option nor a verb."""
    words: list[str] = []
    remaining = list(arguments)
    while remaining:
        word = remaining.pop(0)
        if word == "--demo":
            is_named = remaining and not remaining[0].startswith("-") and remaining[0] not in (*FILES, "carry-out")
            word = f"--demo={remaining.pop(0) if is_named else ''}"
        words.append(word)
    return words


def _positionals(words: Iterable[str]) -> Iterator[str]:
    """The words that are neither options nor values of the options before the verb."""
    remaining = iter(words)
    for word in remaining:
        if word in _VALUE_OPTIONS:
            next(remaining, None)
        elif not word.startswith("-"):
            yield word


_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--file", "-f"),
        {"action": "append", "default": [], "metavar": "COMPOSE", "help": "a Compose file; can be given again"},
    ),
    (("--project-name", "-p"), {"metavar": "N", "help": "the Compose project's name"}),
    (("--host",), {"metavar": "URL", "help": "the engine's address, as in DOCKER_HOST"}),
    (("--context",), {"metavar": "N", "help": "the docker context to use"}),
    (
        ("--path-alias",),
        {
            "action": "append",
            "default": [],
            "type": path_alias,
            "metavar": "A=B",
            "help": "paths that mean the same place",
        },
    ),
    (
        ("--mechanism",),
        {
            "choices": MECHANISMS,
            "help": "the GPU injection method, whatever else would be chosen (also GPUTUI_MECHANISM)",
        },
    ),
    (("--demo",), {"metavar": "[SCENARIO]", "help": f"a simulated server: {', '.join(SCENARIO_NAMES)}, or a file"}),
    (("--readonly",), {"action": "store_true", "help": "only look"}),
    (("--theme",), {"metavar": "N", "help": "the screen's theme"}),
    (("--ascii",), {"action": "store_true", "help": "only ASCII signs on the screen"}),
    (("--no-mouse",), {"action": "store_true", "help": "leave the mouse to the terminal, so that it can select text"}),
    (("--debug",), {"action": "store_true", "help": "write all that gputui logs into its log file"}),
    (
        ("--interval",),
        {"type": interval, "default": 1.0, "metavar": "S", "help": "seconds between readings (default 1)"},
    ),
)
_VALUE_OPTIONS = frozenset(
    name for names, settings in _OPTIONS if settings.get("action") != "store_true" for name in names if name != "--demo"
)


def parser_of(verbs: Sequence[Verb]) -> Parser:
    """A parser with these verbs."""
    parser = Parser(
        prog="gputui",
        description="See every GPU of a shared server live, move services between GPUs, and apply it safely. "
        "Without a verb the screen starts.",
        epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES) + ".",
    )
    parser.add_argument("--version", action="version", version=f"gputui {__version__}")
    for names, settings in _OPTIONS:
        option = parser.add_argument(*names, **settings)
        if "--context" in names:
            completes(option, "contexts")
    subparsers = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    for verb in verbs:
        subparser = subparsers.add_parser(
            verb.name,
            help=verb.summary,
            description=verb.description or f"{verb.summary[0].upper()}{verb.summary[1:]}.",
            epilog=_examples(verb),
            formatter_class=argparse.RawDescriptionHelpFormatter if verb.examples else argparse.HelpFormatter,
        )
        verb.arguments(subparser)
    subparsers.add_parser("carry-out")
    return parser


def _examples(verb: Verb) -> str | None:
    if not verb.examples:
        return None
    lines = [command if command.startswith("eval") else f"gputui {command}" for command, _ in verb.examples]
    width = max(map(len, lines))
    texts = (f"  {line.ljust(width)}   {text}" for line, (_, text) in zip(lines, verb.examples, strict=True))
    return "\n".join(("examples:", *texts))
