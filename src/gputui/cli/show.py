"""The verbs that only look."""

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from gputui.cli import json_form
from gputui.cli.output import say
from gputui.controller.protocols import Controller
from gputui.domain.errors import GputuiError
from gputui.domain.finding import MARKS, SEVERITIES, Finding
from gputui.domain.gpu import labels_by_uuid
from gputui.domain.log import LogLine, LogWindow
from gputui.domain.service import Service, called
from gputui.domain.snapshot import Snapshot
from gputui.domain.text import with_fix
from gputui.domain.unexpected import place_of
from gputui.domain.units import gib

FIRST_LOOK_S = 6.0

_log = logging.getLogger(__name__)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need to be."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    for row in (head, *rows):
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def show(controller: Controller, arguments: argparse.Namespace) -> int:
    """`gpus`, `services`, `processes`, `findings`, `status`."""
    verbs: dict[
        str, tuple[Callable[[Snapshot], dict[str, Any]], Callable[[Snapshot], None], Callable[[Snapshot], int]]
    ] = {
        "gpus": (json_form.gpus, _gpus, _gpus_code),
        "services": (json_form.services, _services, _engine_code),
        "processes": (json_form.processes, _processes, _gpus_code),
        "findings": (lambda snapshot: json_form.findings(snapshot.findings), _findings, _findings_code),
        "status": (_status_json, _status, _status_code),
    }
    as_json, as_text, code_of = verbs[arguments.verb]
    if getattr(arguments, "rescan", False):
        controller.watch.rescan()
    while True:
        try:
            snapshot = controller.watch.wait(FIRST_LOOK_S)
            if arguments.verb in ("services", "findings"):
                controller.watch.probe_devices(FIRST_LOOK_S)
                snapshot = controller.watch.snapshot()
            if arguments.json:
                print(json.dumps(as_json(snapshot)), flush=True)
            else:
                as_text(snapshot)
                sys.stdout.flush()
            if not arguments.watch:
                return code_of(snapshot)
        except (GputuiError, OSError):
            raise
        except Exception as error:  # whoever watches for hours is told, and sees it when it is over
            if not arguments.watch:
                raise
            _log.error("one look failed", exc_info=error)
            sys.stderr.write(f"gputui: {place_of(error)}; it is tried again\n")
            sys.stderr.flush()
        time.sleep(arguments.interval)


def _gpus(snapshot: Snapshot) -> None:
    if not snapshot.inventory.gpus:
        _no_gpus(snapshot)
        return
    rows = []
    for reading in snapshot.readings:
        unknown = "n/a"
        age = snapshot.taken_at - reading.taken_at
        state = reading.state if reading.state == "ok" else f"{reading.state}: {reading.reason or f'{age:.0f} s old'}"
        limit = unknown if reading.power_limit_w is None else f"{reading.power_limit_w:.0f}"
        power = unknown if reading.power_w is None else f"{reading.power_w:.0f}/{limit} W"
        unified = " unified" if reading.gpu.unified_memory else ""
        rows.append(
            (
                reading.gpu.label,
                reading.gpu.name,
                f"{gib(reading.memory_used_mib)}/{gib(reading.memory_total_mib)} GiB{unified}",
                gib(reading.memory_free_mib),
                unknown if reading.utilization_percent is None else f"{reading.utilization_percent} %",
                unknown if reading.temperature_c is None else f"{reading.temperature_c} °C",
                power,
                state,
                reading.gpu.uuid,
            )
        )
    print_table(("GPU", "NAME", "USED", "FREE", "UTIL", "TEMP", "POWER", "STATE", "UUID"), rows)


def _no_gpus(snapshot: Snapshot) -> None:
    inventory = snapshot.inventory
    sys.stderr.write(f"gputui: No GPUs detected: {inventory.why_none}\ngputui: {inventory.fix or ''}\n")


def _no_engine(snapshot: Snapshot) -> None:
    sys.stderr.write(f"gputui: {snapshot.engine.reason}\ngputui: {snapshot.engine.fix or ''}\n")


def _gpus_code(snapshot: Snapshot) -> int:
    return 0 if snapshot.inventory.gpus else 3


def _engine_code(snapshot: Snapshot) -> int:
    return 0 if snapshot.engine.info else 3


def labels(uuids: Sequence[str] | None, snapshot: Snapshot) -> str:
    """GPUs as a person reads them."""
    if uuids is None:
        return "?"
    names = labels_by_uuid(snapshot.inventory.gpus)
    return ",".join(names.get(uuid, uuid[:12]) for uuid in uuids) or "–"


def state_text(service: Service) -> str:
    """A service's state and health in words."""
    container = service.container
    words = [service.state]
    if container and container.health:
        words.append(container.health)
    if not service.enabled:
        words.append("disabled")
    return ", ".join(words)


def _needs(service: Service) -> str:
    if service.budget_mib is not None:
        return f"{gib(service.budget_mib)} budget"
    return f"{gib(service.requirement.claim_mib)} {service.requirement.source}"


def _services(snapshot: Snapshot) -> None:
    if not snapshot.engine.info:
        _no_engine(snapshot)
        return
    rows = [
        (
            service.name,
            service.key.project or "–",
            service.backend,
            service.model or "–",
            _needs(service),
            (f"any {service.any_gpus}: " if service.any_gpus else "") + labels(service.assigned, snapshot),
            labels(service.running_on, snapshot),
            state_text(service),
            "" if service.origin == "compose" or service.adopted else "found, not adopted",
        )
        for service in snapshot.services
    ]
    if not rows:
        say("no service uses a GPU")
        return
    print_table(("SERVICE", "PROJECT", "BACKEND", "MODEL", "NEEDS/GPU GiB", "GPUS", "ON", "STATE", ""), rows)


def _processes(snapshot: Snapshot) -> None:
    if not snapshot.inventory.gpus:
        _no_gpus(snapshot)
        return
    rows = []
    for reading in snapshot.readings:
        for one in reading.processes or ():
            owner = json_form.owner_of(one, snapshot)
            place = owner.name if owner else (f"container {one.container_id[:12]}" if one.container_id else "foreign")
            rows.append(
                (
                    reading.gpu.label,
                    str(one.pid),
                    one.user or "?",
                    gib(one.memory_mib),
                    place,
                    (one.command or "?")[:80],
                )
            )
    print_table(("GPU", "PID", "USER", "GiB", "SERVICE", "COMMAND"), rows)


def print_findings(findings: Sequence[Finding]) -> None:
    """Each in one line, with its fix."""
    for one in findings:
        say(f" {MARKS[one.severity]} {one.severity}: {one.line}")


def _findings(snapshot: Snapshot) -> None:
    print_findings(snapshot.findings)
    if not snapshot.engine.info:
        _no_engine(snapshot)
    elif not snapshot.findings:
        say("nothing to say")


def _findings_code(snapshot: Snapshot) -> int:
    if any(one.severity in ("error", "refusal") for one in snapshot.findings):
        return 1
    return _engine_code(snapshot)


def _problems(snapshot: Snapshot) -> list[str]:
    problems = []
    if not snapshot.inventory.gpus:
        problems.append(f"No GPUs detected: {snapshot.inventory.why_none}")
    problems += [
        f"GPU {reading.gpu.label} is {reading.state}: {reading.reason or 'no answer'}"
        for reading in snapshot.readings
        if reading.state != "ok"
    ]
    if not snapshot.engine.info:
        problems.append(str(snapshot.engine.reason))
    for service in snapshot.services:
        container = service.container
        ours = service.adopted or (service.origin == "compose" and container is not None)
        unhealthy = container is not None and container.health == "unhealthy"
        # One that ended without an error may have been meant to, unless it was enabled here.
        meant = container is not None and container.exit_code == 0 and not service.adopted
        if ours and service.enabled and ((not service.lives and not meant) or unhealthy):
            problems.append(f"{service.name} is {state_text(service)}")
    # Where what it had before was put back, and runs, nobody has to be called.
    down = {service.name for service in snapshot.services if not service.lives}
    problems += [one.line for one in snapshot.findings if one.code == "launch-failed" and one.service in down]
    problems += [one.line for one in snapshot.findings if one.severity in ("error", "refusal")]
    problems += [fault.text for fault in snapshot.watch_faults]
    apply = snapshot.apply
    if apply is not None and apply.cut_off:
        problems.append(f"the apply of {apply.operator} was cut off; `gputui rollback --yes` takes back what it left")
    return problems


def _status_json(snapshot: Snapshot) -> dict[str, Any]:
    info, apply, problems = snapshot.engine.info, snapshot.apply, _problems(snapshot)
    return json_form.versioned(
        {
            "healthy": not problems,
            "problems": problems,
            "gpus": len(snapshot.inventory.gpus),
            "driver_version": snapshot.inventory.driver_version,
            "engine": {"name": info.name, "version": info.version, "id": info.id} if info else None,
            "services": len(snapshot.services),
            "running": _running(snapshot),
            "revision": snapshot.draft.saved.revision,
            "applying": apply.operator if apply and apply.under_way else None,
            "findings": _by_severity(snapshot),
            "notes": list(snapshot.notes),
        }
    )


def _running(snapshot: Snapshot) -> int:
    return sum(service.running or service.state == "paused" for service in snapshot.services)


def _by_severity(snapshot: Snapshot) -> dict[str, int]:
    return {severity: sum(one.severity == severity for one in snapshot.findings) for severity in SEVERITIES}


def _status(snapshot: Snapshot) -> None:
    info, apply = snapshot.engine.info, snapshot.apply
    say(f"{snapshot.host}: {len(snapshot.inventory.gpus)} GPUs, driver {snapshot.inventory.driver_version or 'n/a'}")
    if info:
        running = _running(snapshot)
        revision = snapshot.draft.saved.revision
        say(f"{info.name} {info.version}: {len(snapshot.services)} services, {running} running, revision {revision}")
    if apply and apply.under_way:
        say(f"{apply.operator} is applying revision {apply.revision}")
    problems = _problems(snapshot)
    for problem in problems:
        say(f" ✗ {problem}")
    for note in snapshot.notes:
        say(f" · {note}")
    counts = {severity: number for severity, number in _by_severity(snapshot).items() if number and severity != "info"}
    if counts:
        shown = ", ".join(f"{number} {severity}{'s' if number > 1 else ''}" for severity, number in counts.items())
        say(f" ▲ {shown}: see `gputui findings`")
    if not problems and not counts:
        say("all is well")


def _status_code(snapshot: Snapshot) -> int:
    return 1 if _problems(snapshot) else 0


def doctor(controller: Controller, arguments: argparse.Namespace) -> int:
    """`doctor`."""
    snapshot = controller.watch.wait(FIRST_LOOK_S)
    controller.watch.probe_devices(FIRST_LOOK_S)
    found = controller.watch.doctor()
    if arguments.json:
        print(
            json.dumps(json_form.doctor(found, snapshot.engine.info, controller.watch.snapshot().mechanism)), flush=True
        )
    else:
        marks = {"ok": "✓", "warning": "▲", "error": "✗", "unknown": "?"}
        width = max(len(check.name) for check in found)
        for check in found:
            say(f" {marks[check.state]} {check.name.ljust(width)}  {with_fix(check.text, check.fix)}")
    return 1 if any(check.state == "error" for check in found) else 0


def history(controller: Controller, arguments: argparse.Namespace) -> int:
    """`history [APPLY]`."""
    controller.watch.wait(FIRST_LOOK_S)
    if arguments.apply is not None:
        return _one_apply(controller, arguments)
    revisions, applies = (
        controller.history.revisions(arguments.limit + 1),
        controller.history.applies(arguments.limit + 1),
    )
    more = len(revisions) > arguments.limit or len(applies) > arguments.limit
    revisions, applies = revisions[: arguments.limit], applies[: arguments.limit]
    if arguments.json:
        print(json.dumps(json_form.history(revisions, applies)), flush=True)
        return 0
    print_table(
        ("REVISION", "SAVED", "BY", "WHY"),
        [(str(one.revision), one.saved_at, one.author, one.reason) for one in revisions],
    )
    say()
    rows = []
    for one in applies:
        result = "cut off" if one.cut_off else one.result
        rows.append((str(one.id), str(one.revision), one.started_at, one.operator, result, one.message or one.reason))
    print_table(("APPLY", "REVISION", "BEGAN", "BY", "RESULT", ""), rows)
    if more:
        say(f"\nThere are older ones: --limit {10 * arguments.limit} shows more.")
    return 0


def _one_apply(controller: Controller, arguments: argparse.Namespace) -> int:
    """Who, when and why, every event, and the logs of the containers that it removed."""
    record, events = controller.history.record(arguments.apply), controller.history.events(arguments.apply)
    if arguments.json:
        body = {"events": [json_form.event(one) for one in events], **json_form.apply(record)}
        print(json.dumps(json_form.versioned({"apply": body, "logs": controller.logs.kept(record.id)})), flush=True)
        return 0
    say(f"apply {record.id} of revision {record.revision} by {record.operator}: {record.reason}")
    result = record.result.replace("_", " ")
    say(f"{record.started_at} to {record.ended_at or 'now'}: {result} {record.message}".rstrip())
    for event in events:
        say(f"  {event.at[11:19]} {event.service or '':14} {event.progress:8} {event.text}")
    for name, lines in controller.logs.kept(record.id).items():
        say(f"the last lines of the old container of {name}:")
        for line in lines[-KEPT_SHOWN:]:
            say(f"  │ {line}")
        if len(lines) > KEPT_SHOWN:
            say(f"  ({len(lines) - KEPT_SHOWN} lines more with --json)")
    return 0


KEPT_SHOWN = 40


def logs(controller: Controller, arguments: argparse.Namespace) -> int:
    """`logs SERVICE [-f]`."""
    snapshot = controller.watch.wait(FIRST_LOOK_S)
    service = called(snapshot.services, arguments.service)
    if arguments.previous:
        _say_lines(controller.logs.previous(service.key), timestamps=arguments.timestamps)
        return 0
    since = None if arguments.since is None else time.time() - arguments.since
    feed = controller.logs.follow(service.key, LogWindow(tail=arguments.tail, since=since, follow=arguments.follow))
    while True:
        batch = controller.logs.read(feed)
        if batch.dropped:
            sys.stderr.write(
                f"gputui: {batch.dropped} lines came faster than they could be written, and are left out\n"
            )
        _say_lines(batch.lines, timestamps=arguments.timestamps)
        if batch.ended:
            return 0
        time.sleep(0.1)


def _say_lines(lines: Sequence[LogLine], *, timestamps: bool) -> None:
    for line in lines:
        say(f"{line.at} {line.text}" if timestamps and line.at else line.text)
    sys.stdout.flush()
