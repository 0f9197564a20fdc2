"""The definition of a verb: its help, its arguments, and what it does. Help, completion, the man page and the reference
in the docs are generated from it."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gputui.cli.argument_types import seconds

if TYPE_CHECKING:  # the first picture must not wait for it
    from gputui.controller.protocols import Controller

Completion = Literal["services", "gpus", "contexts", "revisions", "applies", "files"]
"""The kind of values that a shell completes for an argument."""


COMPLETES = "completes"
"""The attribute of an argument that holds its `Completion`, for `cli.completion`."""


def _no_arguments(parser: argparse.ArgumentParser) -> None:
    del parser


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One verb. `run` returns the exit code; `examples` are command lines without the program's name, and what they do.

    `carries_out`: it carries out a plan, so a process for that stands by. `saves`: it saves something, which is lost
    with a simulated server. `needs_server`: it needs the GPUs and the engine to be watched.
    """

    name: str
    summary: str
    run: "Callable[[Controller, argparse.Namespace], int]"
    arguments: Callable[[argparse.ArgumentParser], None] = _no_arguments
    description: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    carries_out: bool = False
    saves: bool = False
    needs_server: bool = True


def completes(action: argparse.Action, completion: Completion) -> None:
    """Set the kind of values that a shell completes for the argument."""
    setattr(action, COMPLETES, completion)


def service_argument(parser: argparse.ArgumentParser, *, many: Literal["*", "+"] | None = None) -> None:
    """SERVICE, or several."""
    if many:
        completes(parser.add_argument("service", nargs=many, metavar="SERVICE"), "services")
    else:
        completes(parser.add_argument("service", metavar="SERVICE"), "services")


def json_option(parser: argparse.ArgumentParser) -> None:
    """--json."""
    parser.add_argument("--json", action="store_true", help="one JSON object")


def yes_option(parser: argparse.ArgumentParser, text: str = "without asking") -> None:
    """--yes."""
    parser.add_argument("--yes", "-y", action="store_true", help=text)


def apply_options(parser: argparse.ArgumentParser) -> None:
    """The options of all verbs that carry out a plan."""
    yes_option(parser)
    parser.add_argument("--json", action="store_true", help="a line of JSON for each event, the last one the result")
    parser.add_argument(
        "--settle",
        type=seconds,
        metavar="S",
        help="seconds that a container without a healthcheck has to stay up (default 6)",
    )
    parser.add_argument(
        "--health-limit",
        type=seconds,
        metavar="S",
        help="seconds after which a container that is not healthy has failed (default 1800)",
    )
