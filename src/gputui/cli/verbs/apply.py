"""`apply`, and `cancel`."""

import argparse

from gputui.cli.asking import ask
from gputui.cli.carrying_out import carry_out, check_settled, finish, planned
from gputui.cli.looking import connected
from gputui.cli.output import say
from gputui.cli.verb import Verb, apply_options, completes, service_argument, yes_option
from gputui.controller.protocols import Controller
from gputui.domain.errors import UsageError
from gputui.domain.message import message
from gputui.domain.service import called


def _apply(controller: Controller, arguments: argparse.Namespace) -> int:
    """`apply [SERVICE…]`, and `apply --resume`."""
    snapshot = connected(controller)
    if arguments.resume:
        return finish(controller, arguments, "resume")
    check_settled(controller)
    plan = planned(controller, arguments)
    keep_layers = frozenset(called(snapshot.services, name).key for name in arguments.keep_layer)
    not_recreated = keep_layers - {step.service for step in plan.doing if step.keeps_layer}
    if not_recreated:
        names = ", ".join(sorted(key.short_name for key in not_recreated))
        raise UsageError(
            f"--keep-layer {names}: is not re-created from its container by this plan", "see `gputui plan`"
        )
    plan = controller.applies.preview(plan)
    return carry_out(controller, plan, arguments, message("applied"), keep_layers=keep_layers)


def _cancel(controller: Controller, arguments: argparse.Namespace) -> int:
    """`cancel`: have the running apply rolled back, whoever began it."""
    apply = connected(controller).apply
    if apply is None or not apply.under_way:
        raise UsageError("no apply runs", "see `gputui history`")
    if not ask(f"Roll back apply {apply.id} of {apply.operator}?", yes=arguments.yes):
        return 2
    controller.applies.cancel(apply.id)
    say("it is being rolled back; `gputui status` shows how it stands")
    return 0


def _apply_arguments(parser: argparse.ArgumentParser) -> None:
    service_argument(parser, many="*")
    parser.add_argument("--force", action="store_true", help="in spite of errors (never of refusals)")
    parser.add_argument("--refresh", action="store_true", help="also re-create what differs from its Compose file")
    layers = parser.add_argument(
        "--keep-layer",
        action="append",
        default=[],
        metavar="SERVICE",
        help="keep what its container wrote outside its volumes, as an image",
    )
    completes(layers, "services")
    parser.add_argument("--resume", action="store_true", help="resume an apply that was interrupted")
    apply_options(parser)


VERBS = (
    Verb(
        name="apply",
        summary="carry the plan out",
        run=_apply,
        arguments=_apply_arguments,
        examples=(
            ("apply", "shows the plan, asks, and follows it"),
            ("apply ai-llm --yes --json", "one service, for a script"),
            ("apply --resume", "after an interruption"),
        ),
        carries_out=True,
    ),
    Verb(
        name="cancel",
        summary="roll back the apply that runs",
        run=_cancel,
        arguments=yes_option,
        examples=(("cancel", "whoever began it"),),
    ),
)
