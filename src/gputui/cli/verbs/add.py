"""`add`: write a new service into the Compose file."""

import argparse
import shlex

from gputui.cli import json_form
from gputui.cli.asking import ask
from gputui.cli.looking import connected
from gputui.cli.output import print_json, say
from gputui.cli.verb import Verb, completes, json_option, yes_option
from gputui.controller.protocols import Controller
from gputui.domain.compose import NewService
from gputui.domain.errors import UsageError


def _add(controller: Controller, arguments: argparse.Namespace) -> int:
    """`add SERVICE --image …`: write a new service into the Compose file."""
    connected(controller)
    try:
        command = tuple(shlex.split(arguments.command))
    except ValueError:
        raise UsageError("--command: a quotation mark is not closed", "close it") from None
    ports: list[str] = []
    free_ports: list[int] = []
    for port in arguments.port:
        if port.startswith("auto:"):
            free_ports.append(controller.compose_files.free_port(free_ports))
        ports.append(f"{free_ports[-1]}:{port.removeprefix('auto:')}" if port.startswith("auto:") else port)
    gpus = () if arguments.gpus in ("", "none") else tuple(arguments.gpus.split(","))
    service = NewService(
        name=arguments.service, image=arguments.image, command=command, ports=tuple(ports),
        mounts=tuple(arguments.mount), gpus=gpus,
    )  # fmt: skip
    edit = controller.compose_files.propose(service)
    for line in () if arguments.json and arguments.yes else edit.diff:
        say(line)
    if not ask(f"Write this to {edit.path}?", yes=arguments.yes):
        return 2
    controller.compose_files.write(edit)
    if arguments.json:
        body = {"service": arguments.service, "path": str(edit.path), "diff": list(edit.diff)}
        print_json(json_form.versioned(body))
        return 0
    say(f"written to {edit.path}; `gputui apply {arguments.service}` creates and starts it")
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument("--image", required=True, metavar="IMAGE")
    parser.add_argument("--command", default="", metavar="WORDS", help="its command, as a shell splits it")
    parser.add_argument(
        "--port", action="append", default=[], metavar="HOST:INSIDE", help="auto:INSIDE finds a free one"
    )
    parser.add_argument("--mount", action="append", default=[], metavar="HOST:INSIDE[:ro]")
    completes(parser.add_argument("--gpus", default="", metavar="0,2|UUID|none"), "gpus")
    yes_option(parser)
    json_option(parser)


VERBS = (
    Verb(
        name="add",
        summary="write a new service into the Compose file, after showing the difference",
        run=_add,
        arguments=_arguments,
        examples=(("add llm --image vllm/vllm-openai:v0.11.0 --port auto:8000 --gpus 0", "shows, asks, writes"),),
    ),
)
