"""Completes current services, GPUs, contexts, revisions and applies on the command line.

argcomplete drives it: the shell starts gputui with the words typed so far, and reads the completions from it.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from contextlib import suppress
from typing import Any

import argcomplete

from gputui.cli.arguments import SCENARIO_NAMES, parser_of
from gputui.cli.looking import FIRST_LOOK_S
from gputui.cli.verb import COMPLETES, Completion
from gputui.cli.verbs import FILES, load
from gputui.controller.protocols import Controller
from gputui.domain.errors import GputuiError
from gputui.domain.service import distinct_names

Controllers = Callable[[argparse.Namespace], Controller]
"""Creates the controller of the server that the options select."""


def complete(controllers: Controllers, contexts: Callable[[], Sequence[str]]) -> int | None:
    """Answer a completion request of the shell; the exit code, None if there is no request."""
    parser = parser_of([load(name) for name in FILES])
    for action in _actions(parser):
        completion: Completion | None = getattr(action, COMPLETES, None)
        if completion is not None and completion != "files":
            setattr(action, "completer", _Completer(completion, controllers, contexts))  # noqa: B010 - argcomplete reads it
    _mark_scenario(os.environ)
    try:
        argcomplete.autocomplete(parser, exclude=["carry-out"], exit_method=sys.exit)
    except SystemExit as answered:
        return int(answered.code or 0)
    return None


# `--demo` is followed by a verb or an option, unless that is the name of a scenario or a file.
_DEMO_ALONE = re.compile(rf"(?<= --demo)(?= +(?!{'|'.join(SCENARIO_NAMES)}|[^ ]*[./]))")


def _mark_scenario(environment: MutableMapping[str, str]) -> None:
    """Mark a `--demo` without a value: argparse would take the next word for it."""
    line, point = environment.get("COMP_LINE", ""), int(environment.get("COMP_POINT", 0))
    environment["COMP_LINE"] = _DEMO_ALONE.sub("=", line)
    environment["COMP_POINT"] = str(point + len(_DEMO_ALONE.sub("=", line[:point])) - len(line[:point]))


def _actions(parser: argparse.ArgumentParser) -> Iterable[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for subparser in action.choices.values():
                yield from _actions(subparser)


class _Completer:
    """Looks up the values of one kind on request."""

    def __init__(self, completion: Completion, controllers: Controllers, contexts: Callable[[], Sequence[str]]) -> None:
        self._completion = completion
        self._controllers = controllers
        self._contexts = contexts

    def __call__(self, prefix: str, parsed_args: argparse.Namespace, **_: Any) -> list[str]:
        if self._completion == "contexts":
            return list(self._contexts())
        head, comma, _last = prefix.rpartition(",")
        with suppress(GputuiError):  # no completions
            typed = head.split(",")
            return [head + comma + value for value in self._values(parsed_args) if value not in typed]
        return []

    def _values(self, parsed_args: argparse.Namespace) -> Iterable[str]:
        controller = self._controllers(parsed_args)
        snapshot = controller.watch.wait(FIRST_LOOK_S, engine=self._completion != "gpus")
        match self._completion:
            case "services":
                return distinct_names([service.key for service in snapshot.services]).values()
            case "gpus":
                return (gpu.label for gpu in snapshot.inventory.gpus if gpu.assignable)
            case "revisions":
                return (str(revision.revision) for revision in controller.history.revisions())
            case "applies":
                return (str(record.id) for record in controller.history.applies())
        return ()
