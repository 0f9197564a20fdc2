"""`status`: whether all is well."""

from typing import Any

from gputui.cli import json_form
from gputui.cli.looking import Look
from gputui.cli.output import say, state_text
from gputui.cli.verb import Verb
from gputui.domain.finding import SEVERITIES
from gputui.domain.snapshot import Snapshot


def problems_of(snapshot: Snapshot) -> list[str]:
    """What is wrong with the server, a line each; empty if it is healthy."""
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
        # A service that exited without an error may have been meant to, unless it was enabled here.
        meant = container is not None and container.exit_code == 0 and not service.adopted
        if ours and service.enabled and ((not service.lives and not meant) or unhealthy):
            problems.append(f"{service.name} is {state_text(service)}")
    # A failed launch is not a problem if the previous container was restored and runs.
    down = {service.name for service in snapshot.services if not service.lives}
    problems += [
        finding.line for finding in snapshot.findings if finding.code == "launch-failed" and finding.service in down
    ]
    problems += [finding.line for finding in snapshot.findings if finding.severity in ("error", "refusal")]
    problems += [fault.text for fault in snapshot.watch_faults]
    apply = snapshot.apply
    if apply is not None and apply.cut_off:
        problems.append(
            f"the apply of {apply.operator} was interrupted; `gputui rollback --yes` rolls back what it left"
        )
    return problems


def _status_json(snapshot: Snapshot) -> dict[str, Any]:
    info, apply, problems = snapshot.engine.info, snapshot.apply, problems_of(snapshot)
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
            "notes": [note.text for note in snapshot.notes],
        }
    )


def _running(snapshot: Snapshot) -> int:
    return sum(service.running or service.state == "paused" for service in snapshot.services)


def _by_severity(snapshot: Snapshot) -> dict[str, int]:
    return {severity: sum(finding.severity == severity for finding in snapshot.findings) for severity in SEVERITIES}


def _print_status(snapshot: Snapshot) -> None:
    info, apply = snapshot.engine.info, snapshot.apply
    say(f"{snapshot.host}: {len(snapshot.inventory.gpus)} GPUs, driver {snapshot.inventory.driver_version or 'n/a'}")
    if info:
        running = _running(snapshot)
        revision = snapshot.draft.saved.revision
        say(f"{info.name} {info.version}: {len(snapshot.services)} services, {running} running, revision {revision}")
    if apply and apply.under_way:
        say(f"{apply.operator} is applying revision {apply.revision}")
    problems = problems_of(snapshot)
    for problem in problems:
        say(f" ✗ {problem}")
    for note in snapshot.notes:
        say(f" · {note.text}")
    counts = {severity: number for severity, number in _by_severity(snapshot).items() if number and severity != "info"}
    if counts:
        summary = ", ".join(f"{number} {severity}{'s' if number > 1 else ''}" for severity, number in counts.items())
        say(f" ▲ {summary}: see `gputui findings`")
    if not problems and not counts:
        say("all is well")


def _status_code(snapshot: Snapshot) -> int:
    return 1 if problems_of(snapshot) else 0


STATUS = Look(as_json=_status_json, as_text=_print_status, exit_code=_status_code)

VERBS = (
    Verb(
        name="status",
        summary="whether all is well; exit code 1 where it is not",
        run=STATUS.run,
        arguments=STATUS.arguments,
        examples=(("status && echo well", "for a monitor"),),
    ),
)
