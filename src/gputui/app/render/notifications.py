"""Notifications about changes between two snapshots: a pure function."""

from dataclasses import dataclass
from typing import Literal

from gputui.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification about a service, a GPU or another part of the server."""

    severity: Literal["information", "warning", "error"]
    about: str
    text: str


def notifications_between(previous: Snapshot, current: Snapshot) -> tuple[Notification, ...]:
    """The notifications, most important first. Services of a running apply are left to the launch pane."""
    touched = {
        name
        for snapshot in (previous, current)
        if snapshot.apply is not None and snapshot.apply.under_way
        for name in snapshot.apply.services
    }
    services = [notification for notification in _services(previous, current) if notification.about not in touched]
    note = current.compose_note
    notes = [Notification("warning", "Compose file", note)] if note and note != previous.compose_note else []
    notifications = [
        *_gpus(previous, current),
        *_engine(previous, current),
        *notes,
        *_other_operators(previous, current),
        *_summarized(services),
    ]
    return tuple(notifications)


MAX_SEPARATE = 3
"""Maximum number of separate notifications about services; an engine restart ends all of them at once."""


def _summarized(services: list[Notification]) -> list[Notification]:
    if len(services) <= MAX_SEPARATE:
        return services
    names = ", ".join(notification.about for notification in services[:MAX_SEPARATE])
    return [Notification("error", "services", f"{len(services)} services ended or are unwell: {names} and others")]


def _gpus(previous: Snapshot, current: Snapshot) -> list[Notification]:
    notifications = []
    states = {reading.gpu.uuid: reading for reading in previous.readings}
    for reading in current.readings:
        earlier = states.get(reading.gpu.uuid)
        label = f"GPU {reading.gpu.label}"
        if earlier is None:
            if previous.readings:
                notifications.append(Notification("information", label, f"{label} is there: {reading.gpu.name}"))
            continue
        if reading.state == "lost" and earlier.state != "lost":
            notifications.append(Notification("error", label, f"{label} is lost{_because(reading.reason)}"))
        elif earlier.state == "lost" and reading.state == "ok":
            notifications.append(Notification("information", label, f"{label} is back"))
        new = set(reading.details.faults if reading.details else ()) - set(
            earlier.details.faults if earlier.details else ()
        )
        notifications += (
            [Notification("error", label, f"{label}: {fault}") for fault in sorted(new)] if earlier.details else []
        )
    return notifications


def _because(reason: str | None) -> str:
    """The reason given by the driver, if it adds anything."""
    return "" if reason is None or reason.lower() == "gpu is lost" else f": {reason}"


def _engine(previous: Snapshot, current: Snapshot) -> list[Notification]:
    if previous.engine.info is not None and current.engine.info is None:
        return [Notification("error", "engine", f"the engine is away: {current.engine.reason}")]
    was_away = previous.engine.info is None and not previous.engine.pending
    if was_away and current.engine.info is not None:
        return [Notification("information", "engine", "the engine is back")]
    return []


def _other_operators(previous: Snapshot, current: Snapshot) -> list[Notification]:
    notifications = []
    saved, earlier = current.draft.saved, previous.draft.saved
    if saved.revision > earlier.revision > 0 and saved.author != current.operator:
        notifications.append(
            Notification("warning", "revision", f"{saved.author} saved revision {saved.revision}: {saved.reason}")
        )
    apply = current.apply
    if apply is not None and apply.operator != current.operator:
        if previous.apply is None or previous.apply.id != apply.id:
            if apply.under_way:
                notifications.append(
                    Notification("warning", "apply", f"{apply.operator} is applying revision {apply.revision}")
                )
        elif previous.apply.result == "running" and apply.result != "running":
            outcome = "is done" if apply.result == "done" else f"failed: {apply.message}"
            notifications.append(Notification("warning", "apply", f"the apply of {apply.operator} {outcome}"))
    return notifications


def _services(previous: Snapshot, current: Snapshot) -> list[Notification]:
    if previous.engine.info is None or current.engine.info is None:
        return []
    notifications = []
    services = {service.key: service for service in previous.services}
    for service in current.services:
        earlier = services.get(service.key)
        if earlier is None or earlier.container is None:
            continue
        container = service.container
        if earlier.running and not service.running:
            code = f" with code {container.exit_code}" if container and container.exit_code else ""
            memory = ", out of the machine's memory" if container and container.oom_killed else ""
            ending = "is gone" if container is None else f"ended{code}{memory}"
            notifications.append(Notification("error", service.name, f"{service.name} {ending}"))
        elif service.running and container is not None and container.restart_count > earlier.container.restart_count:
            text = f"{service.name} ended and was restarted by the engine ({container.restart_count} times so far)"
            notifications.append(Notification("error", service.name, text))
        elif service.running and container is not None and container.health == "unhealthy" != earlier.container.health:
            notifications.append(Notification("error", service.name, f"{service.name} is unhealthy"))
    return notifications
