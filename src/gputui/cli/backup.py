"""The verbs that take the state out, bring it back, and clean it."""

import argparse
import json
import os
import sys
from pathlib import Path

from gputui.cli import json_form
from gputui.cli.change import ask
from gputui.cli.output import say
from gputui.cli.show import FIRST_LOOK_S
from gputui.controller.protocols import Controller
from gputui.domain.errors import NeedsAnswer, UsageError
from gputui.domain.retention import Removed, Retention
from gputui.domain.service import called


def export(controller: Controller, arguments: argparse.Namespace) -> int:
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


def take_in(controller: Controller, arguments: argparse.Namespace) -> int:
    """`import FILE`."""
    controller.watch.wait(FIRST_LOOK_S)
    try:
        lines = controller.history.import_file(arguments.path, adopt=arguments.yes)
    except NeedsAnswer as question:
        if not ask(question.what, yes=arguments.yes):
            return 2
        lines = controller.history.import_file(arguments.path, adopt=True)
    saved = (
        controller.draft.save(f"imported from {Path(arguments.path).name}")
        if controller.watch.snapshot().draft.changed
        else None
    )
    if arguments.json:
        body = {"revision": saved.revision if saved else None, "notes": list(lines)}
        print(json.dumps(json_form.versioned(body)), flush=True)
        return 0
    for line in lines:
        say(line)
    if saved is not None:
        say(f"saved as revision {saved.revision}; `gputui plan` shows what follows")
    return 0


def clean(controller: Controller, arguments: argparse.Namespace) -> int:
    """`clean`."""
    controller.watch.wait(FIRST_LOOK_S)
    retention = Retention(
        applies=arguments.applies, revisions=arguments.revisions, logs=arguments.logs, days=arguments.days
    )
    found = controller.history.remove_old(retention, dry_run=True)
    if found.anything and not arguments.dry_run and not ask(f"Remove {_removed_text(found)}?", yes=arguments.yes):
        return 2
    # Where nothing is left to remove, the space of what went before is given back.
    removed = found if arguments.dry_run else controller.history.remove_old(retention)
    if arguments.json:
        print(json.dumps(json_form.removed(removed, dry_run=arguments.dry_run)), flush=True)
    elif not found.anything:
        say(f"There is nothing to remove; the state has {_mib(removed.size[1])}.")
    elif arguments.dry_run:
        say(f"Would remove {_removed_text(found)}.")
    else:
        say(
            f"Removed {_removed_text(removed)}; the state has {_mib(removed.size[1])}, and had {_mib(removed.size[0])}."
        )
    return 0


def _removed_text(removed: Removed) -> str:
    counts = (
        (removed.applies, "apply", "applies"),
        (removed.revisions, "revision", "revisions"),
        (removed.logs, "log", "logs"),
    )
    return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts if count)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
