"""Carries out plans from the command line, and follows applies."""

import argparse
import sys
import time

from gputui.cli import json_form
from gputui.cli.asking import ask
from gputui.cli.looking import connected
from gputui.cli.output import print_findings, print_json, say
from gputui.controller.protocols import Controller
from gputui.domain.errors import Conflict, Refusal, UsageError
from gputui.domain.event import HOW_TO_FINISH, ApplyEvent, ApplyRecord, Finish, Result, cut_off_text
from gputui.domain.message import Message
from gputui.domain.plan import Plan
from gputui.domain.service import Fallback, ServiceKey

EXIT_CODES: dict[Result, int] = {"done": 0, "rolled_back": 4, "failed": 5, "running": 5}
INTERRUPTED_AFTER_S = 3.0
FALLBACK_LIMIT_S = 20.0


def planned(controller: Controller, arguments: argparse.Namespace) -> Plan:
    """The requested plan, with everything that it needs to know about the engine."""
    controller.applies.learn_engine(controller.applies.plan(arguments.service, refresh=arguments.refresh))
    return controller.applies.plan(arguments.service, refresh=arguments.refresh)


def print_plan(plan: Plan) -> None:
    """Print the steps with their causes, and what changes."""
    for number, step in enumerate(plan.doing, start=1):
        partners = [partner.name for partner in plan.doing if partner.unit == step.unit and partner is not step]
        together = f" (together with {', '.join(partners)}: all or none)" if partners else ""
        say(f" {number} {step.action} {step.name}: {step.cause}{together}")
        for line in step.diff:
            say(f"     {line}")
    if not plan.doing:
        say("nothing to do")
    print_findings(plan.findings)


def check_settled(controller: Controller) -> None:
    """Check that no interrupted apply left something behind.

    Raises:
        Conflict: there is such an apply.
    """
    unsettled = controller.applies.unsettled()
    if unsettled is not None:
        raise Conflict(cut_off_text(unsettled), HOW_TO_FINISH)


def finish(controller: Controller, arguments: argparse.Namespace, ending: Finish) -> int:
    """Resume an interrupted apply, or roll back what it left."""
    unsettled = controller.applies.unsettled()
    if unsettled is None:
        raise UsageError("no apply was interrupted", "see `gputui history`")
    question = "Resume it?" if ending == "resume" else "Roll back what it left?"
    if not ask(f"{cut_off_text(unsettled)}. {question}", yes=arguments.yes):
        return 2
    last_seen = max((event.number for event in controller.history.events(unsettled.id)), default=0)
    number = controller.applies.finish(ending)
    if number is None:
        return 0
    record = follow(controller, number, as_json=arguments.json, after_number=last_seen)
    if ending == "roll back" and record.result == "rolled_back":
        return 0
    return EXIT_CODES[record.result]


def carry_out(
    controller: Controller,
    plan: Plan,
    arguments: argparse.Namespace,
    reason: Message,
    *,
    confirmed: bool = False,
    keep_layers: frozenset[ServiceKey] = frozenset(),
) -> int:
    """Show a plan, ask, begin it and follow it; the exit code."""
    if not plan.doing:
        uncreatable = [
            finding for finding in plan.findings if finding.code == "key-not-carried" and finding.severity == "error"
        ]
        if uncreatable:
            raise Refusal("; ".join(finding.text for finding in uncreatable), uncreatable[0].fix)
        if arguments.json:
            print_json(json_form.versioned({"result": "done", "services": {}, "message": "nothing to do"}))
        else:
            has_services = getattr(arguments, "service", ()) and plan.steps
            say(f"nothing to do: {plan.causes}" if has_services else "nothing to do")
        return 0
    if not arguments.json:
        print_plan(plan)
    if not confirmed and not ask(f"Carry out {len(plan.doing)} steps?", yes=arguments.yes):
        return 2
    number = controller.applies.begin(plan, reason, force=getattr(arguments, "force", False), keep_layers=keep_layers)
    return _exit_code(controller, follow(controller, number, as_json=arguments.json), arguments)


def _exit_code(controller: Controller, record: ApplyRecord, arguments: argparse.Namespace) -> int:
    """The exit code of an apply, or of the fallback that follows if a GPU was gone."""
    if record.result not in ("rolled_back", "failed") or not record.missing:
        return EXIT_CODES[record.result]
    until = time.monotonic() + FALLBACK_LIMIT_S
    while time.monotonic() < until:
        # Its process falls back by itself, and may already have done so.
        ended = not controller.history.record(record.id).alive
        newest = next(iter(controller.history.applies()), record)
        if newest.id > record.id and newest.reason.kind == "fallback":
            return EXIT_CODES[follow(controller, newest.id, as_json=arguments.json).result]
        if ended:
            break
        time.sleep(0.1)
    if controller.applies.fallbacks(frozenset(("ask",))) and sys.stdin.isatty() and not arguments.json:
        return fall_back(controller, arguments)
    return EXIT_CODES[record.result]


def fall_back(controller: Controller, arguments: argparse.Namespace) -> int:
    """`fallback`: assign another GPU to services whose own was gone at the last apply."""
    connected(controller)
    every: frozenset[Fallback] = frozenset(("ask", "auto"))
    lines = controller.applies.fallbacks(every)
    if not lines:
        say("nothing to fall back from, or nowhere to fall back to")
        return 0
    for line in lines:
        say(f" {line}")
    if not ask("Assign and apply this?", yes=arguments.yes):
        return 2
    number = controller.applies.fall_back(every)
    return 0 if number is None else EXIT_CODES[follow(controller, number, as_json=arguments.json).result]


def follow(controller: Controller, number: int, *, as_json: bool, after_number: int = 0) -> ApplyRecord:
    """Print an apply's events beyond `after_number` until it ends; ^C stops the printing, not the apply."""
    last_seen = after_number
    silent_since = time.monotonic()
    try:
        while True:
            record = controller.history.record(number)
            events = controller.history.events(number, after_number=last_seen)
            for event in events:
                last_seen = event.number
                if as_json:
                    print_json(json_form.event_entry(event))
                else:
                    say(_line(event))
            if events or record.alive:
                silent_since = time.monotonic()
            if record.result != "running" or time.monotonic() - silent_since > INTERRUPTED_AFTER_S:
                _print_result(record, as_json=as_json)
                return record
            time.sleep(0.1)
    except KeyboardInterrupt:
        sys.stderr.write("\ngputui: the apply goes on without this terminal\ngputui: `gputui status` shows it\n")
        raise


def _line(event: ApplyEvent) -> str:
    marks = {"started": "…", "done": "✓", "failed": "✗", "waiting": "…"}
    indent = {"step": " ", "operation": "    ", "undo": "    ↩ ", "log": "    │ "}.get(event.kind, "")
    mark = "" if event.kind == "log" else marks[event.progress] + " "
    return f"{indent}{mark}{event.text}"


def _print_result(record: ApplyRecord, *, as_json: bool) -> None:
    if as_json:
        print_json(json_form.result_entry(record))
        return
    words = {
        "done": "done",
        "rolled_back": "failed; what was not finished was rolled back",
        "failed": "failed: manual action required",
        "running": f"the apply was interrupted: {HOW_TO_FINISH}",
    }
    say(words[record.result])
    if record.result != "done":
        say("; ".join(f"{name}: {outcome.replace('_', ' ')}" for name, outcome in record.services.items()))
    if record.message and record.result != "done":
        sys.stderr.write(f"gputui: {record.message}\n")
