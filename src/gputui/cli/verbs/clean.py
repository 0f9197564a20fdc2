"""`clean`: remove old data from the state."""

import argparse

from gputui.cli import json_form
from gputui.cli.argument_types import count
from gputui.cli.asking import ask
from gputui.cli.looking import FIRST_LOOK_S
from gputui.cli.output import print_json, say
from gputui.cli.verb import Verb, json_option, yes_option
from gputui.controller.protocols import Controller
from gputui.domain.retention import Removed, Retention


def _clean(controller: Controller, arguments: argparse.Namespace) -> int:
    """`clean`."""
    controller.watch.wait(FIRST_LOOK_S)
    retention = Retention(
        applies=arguments.applies, revisions=arguments.revisions, logs=arguments.logs, days=arguments.days
    )
    removable = controller.history.remove_old(retention, dry_run=True)
    if (
        removable.anything
        and not arguments.dry_run
        and not ask(f"Remove {_removed_text(removable)}?", yes=arguments.yes)
    ):
        return 2
    # Even with nothing to remove, this reclaims the space of data removed earlier.
    removed = removable if arguments.dry_run else controller.history.remove_old(retention)
    if arguments.json:
        print_json(json_form.removed_body(removed, dry_run=arguments.dry_run))
    elif not removable.anything:
        say(f"There is nothing to remove; the state has {_mib(removed.size[1])}.")
    elif arguments.dry_run:
        say(f"Would remove {_removed_text(removable)}.")
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
    return ", ".join(f"{count} {singular if count == 1 else plural}" for count, singular, plural in counts if count)


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _arguments(parser: argparse.ArgumentParser) -> None:
    default = Retention()
    for option, amount in (
        ("--applies", default.applies),
        ("--revisions", default.revisions),
        ("--logs", default.logs),
    ):
        parser.add_argument(option, type=count, default=amount, metavar="N", help=f"keep N (default {amount})")
    parser.add_argument(
        "--days",
        type=count,
        default=int(default.days),
        metavar="N",
        help=f"keep nothing that is older, but for the newest {default.always} (default {default.days})",
    )
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be removed")
    yes_option(parser)
    json_option(parser)


VERBS = (
    Verb(
        name="clean",
        summary="remove old applies, revisions and logs of replaced containers from the state",
        description="Removes old applies, revisions and logs of replaced containers; what is still needed stays.",
        run=_clean,
        arguments=_arguments,
        examples=(("clean --dry-run", "only tells"), ("clean --days 30", "the last month stays")),
    ),
)
