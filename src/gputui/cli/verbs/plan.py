"""`plan`: what an apply would do."""

import argparse

from gputui.cli import json_form
from gputui.cli.carrying_out import planned, print_plan
from gputui.cli.looking import connected
from gputui.cli.output import print_json
from gputui.cli.verb import Verb, json_option, service_argument
from gputui.controller.protocols import Controller


def _plan(controller: Controller, arguments: argparse.Namespace) -> int:
    """`plan [SERVICE…]`."""
    connected(controller)
    plan = controller.applies.preview(planned(controller, arguments))
    if arguments.json:
        print_json(json_form.plan_body(plan))
    else:
        print_plan(plan)
    return 1 if any(finding.severity in ("error", "refusal") for finding in plan.findings) else 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    service_argument(parser, many="*")
    parser.add_argument("--refresh", action="store_true", help="also what differs from its Compose file")
    json_option(parser)


VERBS = (
    Verb(
        name="plan",
        summary="what an apply would do",
        run=_plan,
        arguments=_arguments,
        examples=(("plan", "all steps with their causes, and every field that changes"), ("plan ai-llm", "of one")),
    ),
)
