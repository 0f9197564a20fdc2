"""What happened between two snapshots that a person wants to be told of, wherever they look: a pure function."""

from dataclasses import dataclass
from typing import Literal

from gputui.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened; `about` is the service or the GPU, by which things of one kind are told once."""

    severity: Literal["information", "warning", "error"]
    about: str
    text: str


def happenings(before: Snapshot, after: Snapshot) -> tuple[Happening, ...]:
    """In the order in which they are worth telling. What happens to services of an apply is its own pane's affair."""
    touched = {
        name for one in (before, after) if one.apply is not None and one.apply.under_way for name in one.apply.services
    }
    services = [one for one in _services(before, after) if one.about not in touched]
    note = after.compose_note
    notes = [Happening("warning", "Compose file", note)] if note and note != before.compose_note else []
    found = [*_gpus(before, after), *_engine(before, after), *notes, *_others(before, after), *_summed_up(services)]
    return tuple(found)


MOST = 3
"""So many of a kind are told one by one; an engine that restarts ends them all."""


def _summed_up(services: list[Happening]) -> list[Happening]:
    if len(services) <= MOST:
        return services
    names = ", ".join(one.about for one in services[:MOST])
    return [Happening("error", "services", f"{len(services)} services ended or are unwell: {names} and others")]


def _gpus(before: Snapshot, after: Snapshot) -> list[Happening]:
    found = []
    states = {one.gpu.uuid: one for one in before.readings}
    for now in after.readings:
        then = states.get(now.gpu.uuid)
        label = f"GPU {now.gpu.label}"
        if then is None:
            if before.readings:
                found.append(Happening("information", label, f"{label} is there: {now.gpu.name}"))
            continue
        if now.state == "lost" and then.state != "lost":
            found.append(Happening("error", label, f"{label} is lost{_because(now.reason)}"))
        elif then.state == "lost" and now.state == "ok":
            found.append(Happening("information", label, f"{label} is back"))
        new = set(now.details.faults if now.details else ()) - set(then.details.faults if then.details else ())
        found += [Happening("error", label, f"{label}: {fault}") for fault in sorted(new)] if then.details else []
    return found


def _because(reason: str | None) -> str:
    """The driver's own words, where they say more than that it is lost."""
    return "" if reason is None or reason.lower() == "gpu is lost" else f": {reason}"


def _engine(before: Snapshot, after: Snapshot) -> list[Happening]:
    if before.engine.info is not None and after.engine.info is None:
        return [Happening("error", "engine", f"the engine is away: {after.engine.reason}")]
    was_away = before.engine.info is None and not before.engine.pending
    if was_away and after.engine.info is not None:
        return [Happening("information", "engine", "the engine is back")]
    return []


def _others(before: Snapshot, after: Snapshot) -> list[Happening]:
    found = []
    saved, was = after.draft.saved, before.draft.saved
    if saved.revision > was.revision > 0 and saved.author != after.operator:
        found.append(
            Happening("warning", "revision", f"{saved.author} saved revision {saved.revision}: {saved.reason}")
        )
    apply = after.apply
    if apply is not None and apply.operator != after.operator:
        if before.apply is None or before.apply.id != apply.id:
            if apply.under_way:
                found.append(Happening("warning", "apply", f"{apply.operator} is applying revision {apply.revision}"))
        elif before.apply.result == "running" and apply.result != "running":
            how = "is done" if apply.result == "done" else f"failed: {apply.message}"
            found.append(Happening("warning", "apply", f"the apply of {apply.operator} {how}"))
    return found


def _services(before: Snapshot, after: Snapshot) -> list[Happening]:
    if before.engine.info is None or after.engine.info is None:
        return []
    found = []
    then = {service.key: service for service in before.services}
    for service in after.services:
        was = then.get(service.key)
        if was is None or was.container is None:
            continue
        now = service.container
        if was.running and not service.running:
            code = f" with code {now.exit_code}" if now and now.exit_code else ""
            memory = ", out of the machine's memory" if now and now.oom_killed else ""
            ended = "is gone" if now is None else f"ended{code}{memory}"
            found.append(Happening("error", service.name, f"{service.name} {ended}"))
        elif service.running and now is not None and now.restart_count > was.container.restart_count:
            text = f"{service.name} ended and was restarted by the engine ({now.restart_count} times by now)"
            found.append(Happening("error", service.name, text))
        elif service.running and now is not None and now.health == "unhealthy" != was.container.health:
            found.append(Happening("error", service.name, f"{service.name} is unhealthy"))
    return found
