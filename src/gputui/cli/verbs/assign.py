"""`assign`: edit the assignment of a service, and save it."""

import argparse
from functools import partial

from gputui.cli import json_form
from gputui.cli.asking import ask
from gputui.cli.looking import connected
from gputui.cli.output import print_findings, print_json, say
from gputui.cli.verb import Verb, completes, json_option, service_argument, yes_option
from gputui.controller.protocols import Controller
from gputui.domain.errors import UsageError
from gputui.domain.message import message
from gputui.domain.service import TypedEdit, called


def _assign(controller: Controller, arguments: argparse.Namespace) -> int:
    """`assign SERVICE …`: edit and save."""
    edits = (
        arguments.gpus,
        arguments.budget,
        arguments.priority,
        arguments.enable or None,
        arguments.disable or None,
        arguments.set or None,
    )
    if all(edit is None for edit in edits):
        raise UsageError("nothing to assign", "say --gpus, --budget, --priority, --enable, --disable or --set")
    changes = [_argument(text) for text in arguments.set]
    snapshot = connected(controller)
    service = called(snapshot.services, arguments.service)
    adopt = arguments.yes
    if service.origin == "found" and not service.adopted and not adopt:
        question = f"{service.name} is an unmanaged container. Adopt it, so that it may be changed from here?"
        adopt = ask(question, yes=False)
        if not adopt:
            return 2
    typed = TypedEdit(gpus=arguments.gpus, budget=arguments.budget, priority=arguments.priority)
    steps = [partial(controller.draft.edit, [service.key], typed)] if typed != TypedEdit() else []
    if changes:
        steps.append(partial(controller.draft.set_arguments, [service.key], changes))
    if arguments.gpus == "auto":  # the number of GPUs may depend on the arguments
        steps.reverse()
    for step in steps:
        step(adopt=adopt)
    if arguments.enable or arguments.disable:
        controller.draft.set_enabled([service.key], bool(arguments.enable), adopt=adopt)
    saved = controller.draft.save(message("assigned", service=service.name))
    snapshot = controller.watch.snapshot()
    findings = [finding for finding in snapshot.findings if finding.service == service.name]
    if arguments.json:
        print_json(json_form.assigned_body(saved, called(snapshot.services, arguments.service), findings, snapshot))
        return 0
    say(f"saved as revision {saved.revision}")
    print_findings(findings)
    return 0


def _argument(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.startswith("-"):
        raise UsageError(f"--set {text}: no option with a value", "write it like --set=--max-model-len=8192")
    return name, value


def _arguments(parser: argparse.ArgumentParser) -> None:
    service_argument(parser)
    gpus = parser.add_argument("--gpus", metavar="0,2|4-7|UUID|all|none|auto", help="the GPUs, in order")
    completes(gpus, "gpus")
    parser.add_argument(
        "--budget", metavar="SIZE", help="its VRAM budget, as in 3.5GiB, or none; keep: not adjusted to another GPU"
    )
    parser.add_argument("--priority", metavar="N", help="its priority for strategies, or none for that of its file")
    switch = parser.add_mutually_exclusive_group()
    switch.add_argument("--enable", action="store_true", help="it should run")
    switch.add_argument("--disable", action="store_true", help="it should not run")
    parser.add_argument(
        "--set", action="append", default=[], metavar="ARG=VALUE", help="change an argument of its command"
    )
    yes_option(parser, "adopt an unmanaged container, without asking")
    json_option(parser)


VERBS = (
    Verb(
        name="assign",
        summary="assign GPUs to a service, and save",
        run=_assign,
        arguments=_arguments,
        examples=(
            ("assign ai-llm --gpus 0,2", "these two, in this order"),
            ("assign ai-llm --gpus auto --set=--max-model-len=8192", "the best ones, with a shorter context"),
        ),
        saves=True,
    ),
)
