"""Findings about unhealthy GPUs."""

from collections.abc import Sequence

from gputui.domain.finding import Finding
from gputui.domain.gpu import Reading


def unwell(readings: Sequence[Reading]) -> list[Finding]:
    """GPUs whose driver or memory reports faults: what runs there may fail or compute wrong results."""
    findings = []
    for reading in readings:
        faults = reading.details.faults if reading.details else ()
        if not faults:
            continue
        reset = reading.details is not None and reading.details.recovery not in (None, "none")
        findings.append(
            Finding(
                code="gpu-unwell",
                severity="warning",
                text=f"GPU {reading.gpu.label} is unhealthy: {', '.join(faults)}",
                fix="move its services to another GPU, then "
                + ("reset it as the driver asks" if reset else "look at `dmesg` and reset it when it is idle"),
                gpu=reading.gpu.uuid,
            )
        )
    return findings
