"""`export`: the state as one file, or services as `docker run`."""

import argparse
import os
import sys
from pathlib import Path

from gputui.cli.looking import FIRST_LOOK_S
from gputui.cli.output import say
from gputui.cli.verb import Verb, completes
from gputui.controller.protocols import Controller
from gputui.domain.errors import UsageError
from gputui.domain.service import called


def _export(controller: Controller, arguments: argparse.Namespace) -> int:
    """`export state [FILE]`, `export run [SERVICE]`."""
    snapshot = controller.watch.wait(FIRST_LOOK_S)
    if arguments.what == "run":
        chosen = [called(snapshot.services, arguments.path)] if arguments.path else list(snapshot.services)
        for service in chosen:
            say(controller.compose_files.run_command(service.key))
        return 0
    text = controller.history.export_state()
    if arguments.path is None:
        sys.stdout.write(text)
        return 0
    path = Path(arguments.path)
    try:
        # It may contain command lines, so that only its owner may read it.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already", "name another file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "name another file") from None
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    say(f"written to {path}; `gputui import {path.name}` brings it back")
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("state", "run"))
    path = parser.add_argument(
        "path", nargs="?", metavar="FILE|SERVICE", help="where the state goes to (else it is printed)"
    )
    completes(path, "services")


VERBS = (
    Verb(
        name="export",
        summary="state: the whole state as one file, to keep or to move it; run: a service as `docker run`",
        run=_export,
        arguments=_arguments,
        examples=(("export state backup.json", "secrets are masked"), ("export run ai-llm", "its docker run")),
    ),
)
