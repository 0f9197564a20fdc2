"""The verbs that take the state out and bring it back."""

import argparse
import os
import sys
from pathlib import Path

from gputui.cli.change import ask
from gputui.cli.output import say
from gputui.cli.show import FIRST_LOOK_S
from gputui.control.room import ControlRoom
from gputui.domain.errors import NeedsAnswer, UsageError
from gputui.domain.service import called


def export(room: ControlRoom, arguments: argparse.Namespace) -> int:
    """`export state [FILE]`, `export run [SERVICE]`."""
    snapshot = room.wait_until_seen(FIRST_LOOK_S)
    if arguments.what == "run":
        chosen = [called(snapshot.services, arguments.path)] if arguments.path else list(snapshot.services)
        for service in chosen:
            say(room.command_of(service.key))
        return 0
    text = room.export_state()
    if arguments.path is None:
        sys.stdout.write(text)
        return 0
    path = Path(arguments.path)
    try:
        # Command lines may be told in it, so that it is for its owner's eyes.
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise UsageError(f"{path} is there already", "name another file") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", "name another file") from None
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
    say(f"written to {path}; `gputui import {path.name}` brings it back")
    return 0


def take_in(room: ControlRoom, arguments: argparse.Namespace) -> int:
    """`import FILE`."""
    room.wait_until_seen(FIRST_LOOK_S)
    try:
        lines = room.take_in(arguments.path, adopt=arguments.yes)
    except NeedsAnswer as question:
        if not ask(question.what, yes=arguments.yes):
            return 2
        lines = room.take_in(arguments.path, adopt=True)
    for line in lines:
        say(line)
    if room.snapshot().draft.changed:
        saved = room.save(f"imported from {Path(arguments.path).name}")
        say(f"saved as revision {saved.revision}; `gputui plan` shows what follows")
    return 0
