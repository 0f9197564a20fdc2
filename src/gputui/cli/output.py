"""The output of verbs, from which control characters are removed."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from gputui.domain.finding import MARKS, Finding
from gputui.domain.gpu import labels_by_uuid
from gputui.domain.service import Service
from gputui.domain.snapshot import Snapshot
from gputui.domain.text import clean

LINE = 20_000


def say(text: str = "") -> None:
    """Print lines."""
    for line in text.split("\n"):
        sys.stdout.write(clean(line, LINE) + "\n")
    sys.stdout.flush()


def print_json(body: dict[str, Any]) -> None:
    """Print one object on one line."""
    print(json.dumps(body), flush=True)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table with columns as wide as necessary."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    for row in (head, *rows):
        say("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def print_findings(findings: Sequence[Finding]) -> None:
    """Print each finding on one line, with its fix."""
    for finding in findings:
        say(f" {MARKS[finding.severity]} {finding.severity}: {finding.line}")


def labels(uuids: Sequence[str] | None, snapshot: Snapshot) -> str:
    """The labels of these GPUs, for people."""
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
