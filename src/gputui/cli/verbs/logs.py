"""`logs`: a service's log."""

import argparse
import sys
import time
from collections.abc import Sequence

from gputui.cli.argument_types import seconds
from gputui.cli.looking import FIRST_LOOK_S
from gputui.cli.output import say
from gputui.cli.verb import Verb, service_argument
from gputui.controller.protocols import Controller
from gputui.domain.log import LogLine, LogWindow
from gputui.domain.service import called


def _logs(controller: Controller, arguments: argparse.Namespace) -> int:
    """`logs SERVICE [-f]`."""
    snapshot = controller.watch.wait(FIRST_LOOK_S)
    service = called(snapshot.services, arguments.service)
    if arguments.previous:
        _say_lines(controller.logs.previous(service.key), timestamps=arguments.timestamps)
        return 0
    since = None if arguments.since is None else time.time() - arguments.since
    feed = controller.logs.follow(service.key, LogWindow(tail=arguments.tail, since=since, follow=arguments.follow))
    while True:
        batch = controller.logs.read(feed)
        if batch.dropped:
            sys.stderr.write(
                f"gputui: {batch.dropped} lines came faster than they could be written, and are left out\n"
            )
        _say_lines(batch.lines, timestamps=arguments.timestamps)
        if batch.ended:
            return 0
        time.sleep(0.1)


def _say_lines(lines: Sequence[LogLine], *, timestamps: bool) -> None:
    for line in lines:
        say(f"{line.at} {line.text}" if timestamps and line.at else line.text)
    sys.stdout.flush()


def _arguments(parser: argparse.ArgumentParser) -> None:
    service_argument(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    parser.add_argument("--tail", type=int, default=200, metavar="N", help="from n lines before the end (default 200)")
    parser.add_argument("--since", type=seconds, metavar="S", help="no lines older than this many seconds")
    parser.add_argument("--timestamps", action="store_true", help="with the time of each line")
    parser.add_argument("--previous", action="store_true", help="the log of the container that the last apply replaced")


VERBS = (
    Verb(
        name="logs",
        summary="a service's log",
        run=_logs,
        arguments=_arguments,
        examples=(("logs ai-llm -f", "as it grows"), ("logs ai-llm --previous", "of the container before")),
    ),
)
