"""`doctor`: everything that a container's GPU depends on."""

import argparse

from gputui.cli import json_form
from gputui.cli.looking import FIRST_LOOK_S
from gputui.cli.output import print_json, say
from gputui.cli.verb import Verb, json_option
from gputui.controller.protocols import Controller
from gputui.domain.text import with_fix


def _doctor(controller: Controller, arguments: argparse.Namespace) -> int:
    """`doctor`."""
    snapshot = controller.watch.wait(FIRST_LOOK_S)
    controller.watch.probe_devices(FIRST_LOOK_S)
    checks = controller.watch.doctor()
    if arguments.json:
        print_json(json_form.doctor_body(checks, snapshot.engine.info, controller.watch.snapshot().mechanism))
    else:
        marks = {"ok": "✓", "warning": "▲", "error": "✗", "unknown": "?"}
        width = max(len(check.name) for check in checks)
        for check in checks:
            say(f" {marks[check.state]} {check.name.ljust(width)}  {with_fix(check.text, check.fix)}")
    return 1 if any(check.state == "error" for check in checks) else 0


VERBS = (
    Verb(
        name="doctor",
        summary="what a container's GPU depends on: driver, engine, GPU injection, the state",
        run=_doctor,
        arguments=json_option,
        examples=(("doctor", "each check with its fix"),),
    ),
)
