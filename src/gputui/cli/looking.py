"""The common parts of verbs that show the server: waiting for the first answer, repeating, and exit codes."""

import argparse
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gputui.cli.output import print_json
from gputui.controller.protocols import Controller
from gputui.domain.errors import GputuiError, Unreachable
from gputui.domain.snapshot import Snapshot
from gputui.domain.unexpected import place_of

FIRST_LOOK_S = 6.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a verb shows of a snapshot, as JSON and as text, and the resulting exit code. `probes`: it reports the
    devices in the containers of adopted services."""

    as_json: Callable[[Snapshot], dict[str, Any]]
    as_text: Callable[[Snapshot], None]
    exit_code: Callable[[Snapshot], int]
    probes: bool = False

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """--json and --watch."""
        parser.add_argument("--json", action="store_true", help="one JSON object")
        parser.add_argument("--watch", action="store_true", help="again at every interval")

    def run(self, controller: Controller, arguments: argparse.Namespace) -> int:
        """Look once, or again and again."""
        watch = controller.watch
        while True:
            try:
                snapshot = watch.wait(FIRST_LOOK_S)
                if self.probes:
                    watch.probe_devices(FIRST_LOOK_S)
                    snapshot = watch.snapshot()
                if arguments.json:
                    print_json(self.as_json(snapshot))
                else:
                    self.as_text(snapshot)
                    sys.stdout.flush()
                if not arguments.watch:
                    return self.exit_code(snapshot)
            except (GputuiError, OSError):
                raise
            except Exception as error:  # with --watch, report it and go on
                if not arguments.watch:
                    raise
                _log.error("one look failed", exc_info=error)
                sys.stderr.write(f"gputui: {place_of(error)}; it is tried again\n")
                sys.stderr.flush()
            time.sleep(arguments.interval)


def connected(controller: Controller) -> Snapshot:
    """The first snapshot; without an engine nothing can be changed.

    Raises:
        Unreachable: the engine cannot be reached.
    """
    snapshot = controller.watch.wait(FIRST_LOOK_S)
    if not snapshot.engine.info:
        raise Unreachable(snapshot.engine.reason or "the engine does not answer", snapshot.engine.fix or "")
    return snapshot


def report_no_gpus(snapshot: Snapshot) -> None:
    """Report why there are no GPUs."""
    inventory = snapshot.inventory
    sys.stderr.write(f"gputui: No GPUs detected: {inventory.why_none}\ngputui: {inventory.fix or ''}\n")


def report_no_engine(snapshot: Snapshot) -> None:
    """Report why the engine cannot be reached."""
    sys.stderr.write(f"gputui: {snapshot.engine.reason}\ngputui: {snapshot.engine.fix or ''}\n")


def gpus_code(snapshot: Snapshot) -> int:
    """3 without GPUs."""
    return 0 if snapshot.inventory.gpus else 3


def engine_code(snapshot: Snapshot) -> int:
    """3 without an engine."""
    return 0 if snapshot.engine.info else 3
