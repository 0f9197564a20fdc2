"""`import`: an exported state, or assignments edited by hand."""

import argparse
from pathlib import Path

from gputui.cli import json_form
from gputui.cli.asking import ask
from gputui.cli.looking import FIRST_LOOK_S
from gputui.cli.output import print_json, say
from gputui.cli.verb import Verb, completes, json_option, yes_option
from gputui.controller.protocols import Controller
from gputui.domain.errors import NeedsAnswer
from gputui.domain.message import message


def _import(controller: Controller, arguments: argparse.Namespace) -> int:
    """`import FILE`."""
    controller.watch.wait(FIRST_LOOK_S)
    try:
        lines = controller.history.import_file(arguments.path, adopt=arguments.yes)
    except NeedsAnswer as question:
        if not ask(question.what, yes=arguments.yes):
            return 2
        lines = controller.history.import_file(arguments.path, adopt=True)
    saved = (
        controller.draft.save(message("imported", file=Path(arguments.path).name))
        if controller.watch.snapshot().draft.changed
        else None
    )
    if arguments.json:
        body = {"revision": saved.revision if saved else None, "notes": list(lines)}
        print_json(json_form.versioned(body))
        return 0
    for line in lines:
        say(line)
    if saved is not None:
        say(f"saved as revision {saved.revision}; `gputui plan` shows what follows")
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("path", metavar="FILE"), "files")
    yes_option(parser)
    json_option(parser)


VERBS = (
    Verb(
        name="import",
        summary="bring an exported state back, or take in a gpu-assignments.yml edited by hand",
        run=_import,
        arguments=_arguments,
        examples=(("import gpu-assignments.yml", "becomes the next revision; apply does it"),),
        saves=True,
    ),
)
