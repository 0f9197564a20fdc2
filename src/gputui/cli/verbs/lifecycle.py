"""`restart`, `start` and `stop`: act on services without changing them."""

import argparse

from gputui.cli.carrying_out import carry_out, check_settled
from gputui.cli.looking import connected
from gputui.cli.verb import Verb, apply_options, service_argument
from gputui.controller.protocols import Controller
from gputui.domain.message import message


def _lifecycle(controller: Controller, arguments: argparse.Namespace) -> int:
    """`restart`, `start` and `stop`; the latter two also save adopted services as enabled or disabled."""
    connected(controller)
    check_settled(controller)
    reason = message("lifecycle", action=arguments.verb, services=" ".join(arguments.service))
    plan = controller.applies.lifecycle_plan(arguments.service, arguments.verb)
    code = carry_out(controller, plan, arguments, reason)
    if code == 0 and arguments.verb != "restart":
        for service in controller.watch.snapshot().services:
            enabled = arguments.verb == "start"
            if (
                service.adopted
                and service.enabled != enabled
                and any(step.service == service.key for step in plan.steps)
            ):
                controller.draft.set_enabled([service.key], enabled, adopt=False)
        controller.draft.save(reason)
    return code


def _arguments(parser: argparse.ArgumentParser) -> None:
    service_argument(parser, many="+")
    apply_options(parser)


VERBS = tuple(
    Verb(
        name=name,
        summary=f"{name} services",
        run=_lifecycle,
        arguments=_arguments,
        examples=((f"{name} ai-llm", example),),
        carries_out=True,
    )
    for name, example in (
        ("restart", "with the same checks and roll back as an apply"),
        ("start", "and keep it enabled"),
        ("stop", "and keep it disabled, so that the next apply does not start it"),
    )
)
