"""The verbs that change something."""

import argparse
import json
import shlex
import sys
import time
from functools import partial

from gputui.cli import json_form
from gputui.cli.output import say
from gputui.cli.show import FIRST_LOOK_S, print_findings
from gputui.controller.protocols import Controller
from gputui.domain.compose import NewService
from gputui.domain.errors import Conflict, NeedsAnswer, Refusal, Unreachable, UsageError
from gputui.domain.event import FALLBACK, HOW_TO_FINISH, ApplyEvent, ApplyRecord, Finish, Result, cut_off_text
from gputui.domain.plan import Plan
from gputui.domain.service import Fallback, ServiceKey, TypedEdit, called
from gputui.domain.snapshot import Snapshot

EXIT: dict[Result, int] = {"done": 0, "rolled_back": 4, "failed": 5, "running": 5}

CUT_OFF_AFTER_S = 3.0


def _seen(controller: Controller) -> Snapshot:
    """What there is; without an engine nothing can be changed.

    Raises:
        Unreachable: the engine cannot be reached.
    """
    snapshot = controller.watch.wait(FIRST_LOOK_S)
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


def assign(controller: Controller, arguments: argparse.Namespace) -> int:
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
    snapshot = _seen(controller)
    service = called(snapshot.services, arguments.service)
    adopt = arguments.yes
    if service.origin == "found" and not service.adopted and not adopt:
        question = f"{service.name} is a container that gputui found. Adopt it, so that it may be changed from here?"
        adopt = ask(question, yes=False)
        if not adopt:
            return 2
    typed = TypedEdit(gpus=arguments.gpus, budget=arguments.budget, priority=arguments.priority)
    steps = [partial(controller.draft.edit, [service.key], typed)] if typed != TypedEdit() else []
    if changes:
        steps.append(partial(controller.draft.set_arguments, [service.key], changes))
    if arguments.gpus == "auto":  # how many it takes may depend on the arguments
        steps.reverse()
    for step in steps:
        step(adopt=adopt)
    if arguments.enable or arguments.disable:
        controller.draft.set_enabled([service.key], bool(arguments.enable), adopt=adopt)
    saved = controller.draft.save("assign " + service.name)
    snapshot = controller.watch.snapshot()
    about = [one for one in snapshot.findings if one.service == service.name]
    if arguments.json:
        print(
            json.dumps(json_form.assigned(saved, called(snapshot.services, arguments.service), about, snapshot)),
            flush=True,
        )
        return 0
    say(f"saved as revision {saved.revision}")
    print_findings(about)
    return 0


def add(controller: Controller, arguments: argparse.Namespace) -> int:
    """`add SERVICE --image …`: write it into the Compose file."""
    _seen(controller)
    try:
        command = tuple(shlex.split(arguments.command))
    except ValueError:
        raise UsageError("--command: a quotation mark is not closed", "close it") from None
    ports: list[str] = []
    found: list[int] = []
    for port in arguments.port:
        if port.startswith("auto:"):
            found.append(controller.compose_files.free_port(found))
        ports.append(f"{found[-1]}:{port.removeprefix('auto:')}" if port.startswith("auto:") else port)
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
        written = {"service": arguments.service, "path": str(edit.path), "diff": list(edit.diff)}
        print(json.dumps(json_form.versioned(written)), flush=True)
        return 0
    say(f"written to {edit.path}; `gputui apply {arguments.service}` creates and starts it")
    return 0


def _argument(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name.startswith("-"):
        raise UsageError(f"--set {text}: no option with a value", "write it like --set=--max-model-len=8192")
    return name, value


def plan(controller: Controller, arguments: argparse.Namespace) -> int:
    """`plan [SERVICE…]`."""
    _seen(controller)
    found = controller.applies.preview(_planned(controller, arguments))
    if arguments.json:
        print(json.dumps(json_form.plan(found)), flush=True)
    else:
        print_plan(found)
    return 1 if any(one.severity in ("error", "refusal") for one in found.findings) else 0


def _planned(controller: Controller, arguments: argparse.Namespace) -> Plan:
    """The plan that is asked for, with all that it needs to know."""
    controller.applies.learn_engine(controller.applies.plan(arguments.service, refresh=arguments.refresh))
    return controller.applies.plan(arguments.service, refresh=arguments.refresh)


def print_plan(found: Plan) -> None:
    """The steps with their causes, and what changes."""
    for number, step in enumerate(found.doing, start=1):
        others = [one.name for one in found.doing if one.unit == step.unit and one is not step]
        together = f" (together with {', '.join(others)}: all or none)" if others else ""
        say(f" {number} {step.action} {step.name}: {step.cause}{together}")
        for line in step.diff:
            say(f"     {line}")
    if not found.doing:
        say("nothing to do")
    print_findings(found.findings)


def apply(controller: Controller, arguments: argparse.Namespace) -> int:
    """`apply [SERVICE…]`, and `apply --resume`."""
    snapshot = _seen(controller)
    if arguments.resume:
        return _finish(controller, arguments, "go on")
    _ready(controller)
    plain = _planned(controller, arguments)
    kept = frozenset(called(snapshot.services, name).key for name in arguments.keep_layer)
    stays = kept - {step.service for step in plain.doing if step.keeps_layer}
    if stays:
        names = ", ".join(sorted(key.short_name for key in stays))
        raise UsageError(f"--keep-layer {names}: is not made anew of its container by this plan", "see `gputui plan`")
    return _carry_out(controller, controller.applies.preview(plain), arguments, "apply", keep_layers=kept)


def _ready(controller: Controller) -> None:
    """Nothing is begun on top of what an apply that was cut off left behind.

    Raises:
        Conflict: there is such an apply.
    """
    left = controller.applies.unsettled()
    if left is not None:
        raise Conflict(cut_off_text(left), HOW_TO_FINISH)


def _finish(controller: Controller, arguments: argparse.Namespace, how: Finish) -> int:
    """Go on with an apply that was cut off, or take back what it left."""
    left = controller.applies.unsettled()
    if left is None:
        raise UsageError("no apply was cut off", "see `gputui history`")
    question = "Go on with it?" if how == "go on" else "Take back what it left?"
    if not ask(f"{cut_off_text(left)}. {question}", yes=arguments.yes):
        return 2
    seen = max((event.number for event in controller.history.events(left.id)), default=0)
    number = controller.applies.finish(how)
    if number is None:
        return 0
    record = follow(controller, number, as_json=arguments.json, after=seen)
    if how == "take back" and record.result == "rolled_back":
        return 0
    return EXIT[record.result]


def lifecycle(controller: Controller, arguments: argparse.Namespace) -> int:
    """`restart`, `start` and `stop`: what is adopted is also saved as enabled or disabled."""
    _seen(controller)
    _ready(controller)
    found = controller.applies.lifecycle_plan(arguments.service, arguments.verb)
    code = _carry_out(controller, found, arguments, f"{arguments.verb} {' '.join(arguments.service)}")
    if code == 0 and arguments.verb != "restart":
        for service in controller.watch.snapshot().services:
            wanted = arguments.verb == "start"
            if (
                service.adopted
                and service.enabled != wanted
                and any(step.service == service.key for step in found.steps)
            ):
                controller.draft.set_enabled([service.key], wanted, adopt=False)
        controller.draft.save(f"{arguments.verb} {' '.join(arguments.service)}")
    return code


def cancel(controller: Controller, arguments: argparse.Namespace) -> int:
    """`cancel`: have the apply that runs taken back, whoever began it."""
    apply = _seen(controller).apply
    if apply is None or not apply.under_way:
        raise UsageError("no apply runs", "see `gputui history`")
    if not ask(f"Take back apply {apply.id} of {apply.operator}?", yes=arguments.yes):
        return 2
    controller.applies.cancel(apply.id)
    say("it is being taken back; `gputui status` shows how it stands")
    return 0


def roll_back(controller: Controller, arguments: argparse.Namespace) -> int:
    """`rollback [REVISION]`: first of all, what an apply that was cut off left behind is taken back."""
    _seen(controller)
    left = controller.applies.unsettled()
    if left is not None and arguments.settled:
        if not ask(f"{cut_off_text(left)}. Leave everything as it is?", yes=arguments.yes):
            return 2
        controller.applies.accept()
        say(f"apply {left.id} is settled")
        return 0
    if left is not None and arguments.revision is not None:
        raise Conflict(cut_off_text(left), f"first {HOW_TO_FINISH}")
    if left is not None:
        return _finish(controller, arguments, "take back")
    newest = next(iter(controller.history.revisions(1)), None)
    if newest is None or (arguments.revision is None and newest.revision == 1):
        raise UsageError("there is no revision to go back to", "see `gputui history`")
    target = controller.history.revision(newest.revision - 1 if arguments.revision is None else arguments.revision)
    which = f"revision {target.revision} ({target.author}: {target.reason})"
    if not ask(f"Go back to {which}?", yes=arguments.yes):
        return 2
    saved = controller.history.roll_back(arguments.revision)
    controller.applies.learn_engine(controller.applies.plan())
    return _carry_out(controller, controller.applies.plan(), arguments, saved.reason, asked=True)


def _carry_out(
    controller: Controller,
    found: Plan,
    arguments: argparse.Namespace,
    reason: str,
    *,
    asked: bool = False,
    keep_layers: frozenset[ServiceKey] = frozenset(),
) -> int:
    if not found.doing:
        uncreatable = [one for one in found.findings if one.code == "key-not-carried" and one.severity == "error"]
        if uncreatable:
            raise Refusal("; ".join(one.text for one in uncreatable), uncreatable[0].fix)
        if arguments.json:
            print(
                json.dumps(json_form.versioned({"result": "done", "services": {}, "message": "nothing to do"})),
                flush=True,
            )
        else:
            named = getattr(arguments, "service", ()) and found.steps
            say(f"nothing to do: {found.causes}" if named else "nothing to do")
        return 0
    if not arguments.json:
        print_plan(found)
    if not asked and not ask(f"Carry out {len(found.doing)} steps?", yes=arguments.yes):
        return 2
    number = controller.applies.begin(found, reason, force=getattr(arguments, "force", False), keep_layers=keep_layers)
    return _after(controller, follow(controller, number, as_json=arguments.json), arguments)


FALLBACK_LIMIT_S = 20.0


def _after(controller: Controller, record: ApplyRecord, arguments: argparse.Namespace) -> int:
    """The exit code of an apply; where a GPU was gone, that of the fallback that follows."""
    if record.result not in ("rolled_back", "failed") or not record.missing:
        return EXIT[record.result]
    until = time.monotonic() + FALLBACK_LIMIT_S
    while time.monotonic() < until:
        # Its process falls back by itself, and may have done so already.
        ended = not controller.history.record(record.id).alive
        newest = next(iter(controller.history.applies()), record)
        if newest.id > record.id and newest.reason.startswith(FALLBACK):
            return EXIT[follow(controller, newest.id, as_json=arguments.json).result]
        if ended:
            break
        time.sleep(0.1)
    if controller.applies.fallbacks(frozenset(("ask",))) and sys.stdin.isatty() and not arguments.json:
        return fall_back(controller, arguments)
    return EXIT[record.result]


def fall_back(controller: Controller, arguments: argparse.Namespace) -> int:
    """`fallback`: another GPU for services whose own was gone at the last apply."""
    _seen(controller)
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
    return 0 if number is None else EXIT[follow(controller, number, as_json=arguments.json).result]


def follow(controller: Controller, number: int, *, as_json: bool, after: int = 0) -> ApplyRecord:
    """Print an apply's events, beyond number `after`, until it ends; ^C stops the printing, not the apply."""
    seen = after
    silent_since = time.monotonic()
    try:
        while True:
            record = controller.history.record(number)
            events = controller.history.events(number, after=seen)
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
        "running": f"the apply was cut off: {HOW_TO_FINISH}",
    }
    say(words[record.result])
    if record.result != "done":
        say("; ".join(f"{name}: {outcome.replace('_', ' ')}" for name, outcome in record.services.items()))
    if record.message and record.result != "done":
        sys.stderr.write(f"gputui: {record.message}\n")
