"""The verbs that change something."""

import argparse
import json
import sys
import time

from gputui.cli import json_form
from gputui.cli.output import say
from gputui.cli.show import FIRST_LOOK_S, named, print_findings
from gputui.control.room import ControlRoom
from gputui.domain.errors import Conflict, NeedsAnswer, Unreachable, UsageError
from gputui.domain.event import ApplyEvent, ApplyRecord, Result
from gputui.domain.plan import Plan
from gputui.domain.snapshot import Snapshot

EXIT: dict[Result, int] = {"done": 0, "rolled_back": 4, "failed": 5, "running": 5}

CUT_OFF_AFTER_S = 3.0


def _seen(room: ControlRoom) -> Snapshot:
    """What there is; without an engine nothing can be changed.

    Raises:
        Unreachable: the engine cannot be reached.
    """
    snapshot = room.wait_until_seen(FIRST_LOOK_S)
    if not snapshot.engine.info:
        raise Unreachable(snapshot.engine.reason or "the engine does not answer", snapshot.engine.fix or "")
    return snapshot


def ask(question: str, *, yes: bool) -> bool:
    """A question to the person at the terminal.

    Raises:
        NeedsAnswer: there is no terminal, and no `--yes`.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise NeedsAnswer(question, "there is no terminal to ask at: say --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def assign(room: ControlRoom, arguments: argparse.Namespace) -> int:
    """`assign SERVICE …`: edit and save."""
    edits = (
        arguments.gpus,
        arguments.budget,
        arguments.enable or None,
        arguments.disable or None,
        arguments.set or None,
    )
    if all(edit is None for edit in edits):
        raise UsageError("nothing to assign", "say --gpus, --budget, --enable, --disable or --set")
    changes = [_argument(text) for text in arguments.set]
    snapshot = _seen(room)
    service = named(snapshot, arguments.service)
    adopt = arguments.yes
    if service.origin == "found" and not service.adopted and not adopt:
        question = f"{service.name} is a container that gputui found. Adopt it, so that it may be changed from here?"
        adopt = ask(question, yes=False)
        if not adopt:
            return 2
    if arguments.gpus is not None:
        room.set_gpus(service.key, arguments.gpus, adopt=adopt)
    if arguments.budget is not None:
        room.set_budget(service.key, arguments.budget, adopt=adopt)
    if arguments.enable or arguments.disable:
        room.set_enabled(service.key, bool(arguments.enable), adopt=adopt)
    for argument, value in changes:
        room.set_argument(service.key, argument, value, adopt=adopt)
    saved = room.save("assign " + service.name)
    say(f"saved as revision {saved.revision}")
    about = [one for one in room.snapshot().findings if one.service == service.name]
    print_findings(about)
    return 0


def _argument(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.startswith("-"):
        raise UsageError(f"--set {text}: no option with a value", "write it like --set=--max-model-len=8192")
    return name, value


def plan(room: ControlRoom, arguments: argparse.Namespace) -> int:
    """`plan`."""
    _seen(room)
    found = room.plan()
    if arguments.json:
        print(json.dumps(json_form.plan(found)), flush=True)
    else:
        print_plan(found)
    return 1 if any(one.severity in ("error", "refusal") for one in found.findings) else 0


def print_plan(found: Plan) -> None:
    """The steps with their causes, and what changes."""
    for number, step in enumerate(found.doing, start=1):
        say(f" {number} {step.action} {step.name}: {step.cause}")
        for line in step.diff:
            say(f"     {line}")
    if not found.doing:
        say("nothing to do")
    print_findings(found.findings)


def _cut_off(snapshot: Snapshot) -> ApplyRecord | None:
    """The last apply, where its process ended before it did."""
    apply = snapshot.apply
    return apply if apply is not None and apply.result == "running" and not apply.alive else None


def _ready(room: ControlRoom) -> None:
    """Nothing is begun on top of what an apply that was cut off left behind.

    Raises:
        Conflict: there is such an apply.
    """
    cut = _cut_off(_seen(room))
    if cut is not None:
        what = f"the apply of {cut.operator} at {cut.started_at} was cut off"
        raise Conflict(what, "take back what it left with `gputui rollback --yes`, then try again")


def apply(room: ControlRoom, arguments: argparse.Namespace) -> int:
    """`apply [SERVICE…]`."""
    _ready(room)
    found = room.plan(arguments.service)
    return _carry_out(room, found, arguments, "apply")


def lifecycle(room: ControlRoom, arguments: argparse.Namespace) -> int:
    """`restart`, `start` and `stop`: what is adopted is also saved as enabled or disabled."""
    _ready(room)
    found = room.lifecycle_plan(arguments.service, arguments.verb)
    code = _carry_out(room, found, arguments, f"{arguments.verb} {' '.join(arguments.service)}")
    if code == 0 and arguments.verb != "restart":
        for service in room.snapshot().services:
            wanted = arguments.verb == "start"
            if (
                service.adopted
                and service.enabled != wanted
                and any(step.service == service.key for step in found.steps)
            ):
                room.set_enabled(service.key, wanted, adopt=False)
        room.save(f"{arguments.verb} {' '.join(arguments.service)}")
    return code


def roll_back(room: ControlRoom, arguments: argparse.Namespace) -> int:
    """`rollback [REVISION]`: first of all, what an apply that was cut off left behind is taken back."""
    cut = _cut_off(_seen(room))
    if cut is not None:
        if not ask(f"Take back what the apply of {cut.operator} left, which was cut off?", yes=arguments.yes):
            return 2
        record = room.recover()
        if record is not None:
            _print_result(record, as_json=arguments.json)
            return 0 if record.result in ("rolled_back", "done") else EXIT[record.result]
    which = f"revision {arguments.revision}" if arguments.revision is not None else "the revision before this one"
    if not ask(f"Go back to {which}?", yes=arguments.yes):
        return 2
    saved = room.roll_back(arguments.revision)
    return _carry_out(room, room.plan(), arguments, saved.reason, asked=True)


def _carry_out(
    room: ControlRoom, found: Plan, arguments: argparse.Namespace, reason: str, *, asked: bool = False
) -> int:
    if not found.doing:
        if arguments.json:
            print(
                json.dumps(json_form.versioned({"result": "done", "services": {}, "message": "nothing to do"})),
                flush=True,
            )
        else:
            say("nothing to do")
        return 0
    if not arguments.json:
        print_plan(found)
    if not asked and not ask(f"Carry out {len(found.doing)} steps?", yes=arguments.yes):
        return 2
    number = room.apply(found, reason, force=getattr(arguments, "force", False))
    record = follow(room, number, as_json=arguments.json)
    return EXIT[record.result]


def follow(room: ControlRoom, number: int, *, as_json: bool) -> ApplyRecord:
    """Print an apply's events until it ends; ^C stops the printing, not the apply."""
    seen = 0
    silent_since = time.monotonic()
    try:
        while True:
            record = room.record(number)
            events = room.events(number, after=seen)
            for event in events:
                seen = event.number
                if as_json:
                    print(json.dumps(json_form.event(event)), flush=True)
                else:
                    say(_line(event))
            if events or record.alive:
                silent_since = time.monotonic()
            if record.result != "running" or time.monotonic() - silent_since > CUT_OFF_AFTER_S:
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
        print(json.dumps(json_form.result(record)), flush=True)
        return
    words = {
        "done": "done",
        "rolled_back": "failed, and what could not be finished was taken back",
        "failed": "failed, and needs a person",
        "running": "the apply was cut off; `gputui rollback --yes` takes back what it left",
    }
    say(words[record.result])
    if record.result != "done":
        say("; ".join(f"{name}: {outcome.replace('_', ' ')}" for name, outcome in record.services.items()))
    if record.message and record.result != "done":
        sys.stderr.write(f"gputui: {record.message}\n")
