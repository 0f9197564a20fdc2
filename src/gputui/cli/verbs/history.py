"""`history`: revisions and applies."""

import argparse

from gputui.cli import json_form
from gputui.cli.argument_types import count
from gputui.cli.looking import FIRST_LOOK_S
from gputui.cli.output import print_json, print_table, say
from gputui.cli.verb import Verb, completes, json_option
from gputui.controller.protocols import Controller

KEPT_SHOWN = 40


def _history(controller: Controller, arguments: argparse.Namespace) -> int:
    """`history [APPLY]`."""
    controller.watch.wait(FIRST_LOOK_S)
    if arguments.apply is not None:
        return _one_apply(controller, arguments)
    revisions, applies = (
        controller.history.revisions(arguments.limit + 1),
        controller.history.applies(arguments.limit + 1),
    )
    more = len(revisions) > arguments.limit or len(applies) > arguments.limit
    revisions, applies = revisions[: arguments.limit], applies[: arguments.limit]
    if arguments.json:
        print_json(json_form.history_body(revisions, applies))
        return 0
    print_table(
        ("REVISION", "SAVED", "BY", "WHY"),
        [(str(saved.revision), saved.saved_at, saved.author, saved.reason.text) for saved in revisions],
    )
    say()
    rows = []
    for record in applies:
        result = "interrupted" if record.cut_off else record.result
        rows.append(
            (
                str(record.id),
                str(record.revision),
                record.started_at,
                record.operator,
                result,
                record.message or record.reason.text,
            )
        )
    print_table(("APPLY", "REVISION", "BEGAN", "BY", "RESULT", ""), rows)
    if more:
        say(f"\nThere are older ones: --limit {10 * arguments.limit} shows more.")
    return 0


def _one_apply(controller: Controller, arguments: argparse.Namespace) -> int:
    """Print one apply: who, when and why, every event, and the logs of the containers that it removed."""
    record, events = controller.history.record(arguments.apply), controller.history.events(arguments.apply)
    if arguments.json:
        body = {"events": [json_form.event_entry(event) for event in events], **json_form.apply_entry(record)}
        print_json(json_form.versioned({"apply": body, "logs": controller.logs.kept(record.id)}))
        return 0
    say(f"apply {record.id} of revision {record.revision} by {record.operator}: {record.reason.text}")
    result = record.result.replace("_", " ")
    say(f"{record.started_at} to {record.ended_at or 'now'}: {result} {record.message}".rstrip())
    for event in events:
        say(f"  {event.at[11:19]} {event.service or '':14} {event.progress:8} {event.text}")
    for name, lines in controller.logs.kept(record.id).items():
        say(f"the last lines of the old container of {name}:")
        for line in lines[-KEPT_SHOWN:]:
            say(f"  │ {line}")
        if len(lines) > KEPT_SHOWN:
            say(f"  ({len(lines) - KEPT_SHOWN} lines more with --json)")
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    number = parser.add_argument("apply", nargs="?", type=int, metavar="APPLY", help="the number of an apply")
    completes(number, "applies")
    parser.add_argument("--limit", type=count, default=100, metavar="N", help="how many of each (default 100)")
    json_option(parser)


VERBS = (
    Verb(
        name="history",
        summary="revisions and applies; of one apply, all that it did",
        run=_history,
        arguments=_arguments,
        examples=(("history", "the newest"), ("history 12", "every event of apply 12, with the logs that it kept")),
    ),
)
