"""`rollback`, and `fallback`."""

import argparse

from gputui.cli.asking import ask
from gputui.cli.carrying_out import carry_out, fall_back, finish
from gputui.cli.looking import connected
from gputui.cli.output import say
from gputui.cli.verb import Verb, apply_options, completes
from gputui.controller.protocols import Controller
from gputui.domain.errors import Conflict, UsageError
from gputui.domain.event import HOW_TO_FINISH, cut_off_text


def _roll_back(controller: Controller, arguments: argparse.Namespace) -> int:
    """`rollback [REVISION]`: an interrupted apply is rolled back first."""
    connected(controller)
    unsettled = controller.applies.unsettled()
    if unsettled is not None and arguments.settled:
        if not ask(f"{cut_off_text(unsettled)}. Leave everything as it is?", yes=arguments.yes):
            return 2
        controller.applies.accept()
        say(f"apply {unsettled.id} is settled")
        return 0
    if unsettled is not None and arguments.revision is not None:
        raise Conflict(cut_off_text(unsettled), f"first {HOW_TO_FINISH}")
    if unsettled is not None:
        return finish(controller, arguments, "roll back")
    newest = next(iter(controller.history.revisions(1)), None)
    if newest is None or (arguments.revision is None and newest.revision == 1):
        raise UsageError("there is no revision to go back to", "see `gputui history`")
    target = controller.history.revision(newest.revision - 1 if arguments.revision is None else arguments.revision)
    description = f"revision {target.revision} ({target.author}: {target.reason.text})"
    if not ask(f"Go back to {description}?", yes=arguments.yes):
        return 2
    saved = controller.history.roll_back(arguments.revision)
    controller.applies.learn_engine(controller.applies.plan())
    return carry_out(controller, controller.applies.plan(), arguments, saved.reason, confirmed=True)


def _arguments(parser: argparse.ArgumentParser) -> None:
    completes(parser.add_argument("revision", nargs="?", type=int, metavar="REVISION"), "revisions")
    parser.add_argument("--settled", action="store_true", help="somebody looked after what an apply left; do nothing")
    apply_options(parser)


VERBS = (
    Verb(
        name="rollback",
        summary="go back to an earlier revision, or roll back an apply that was interrupted",
        run=_roll_back,
        arguments=_arguments,
        examples=(("rollback", "to the revision before"), ("rollback 7", "to revision 7")),
        carries_out=True,
        saves=True,
    ),
    Verb(
        name="fallback",
        summary="give services whose GPU was gone at the last apply the next best one",
        run=fall_back,
        arguments=apply_options,
        examples=(("fallback", "shows, asks, applies"),),
        carries_out=True,
    ),
)
