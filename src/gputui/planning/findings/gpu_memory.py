"""Whether there is enough memory."""

from collections.abc import Mapping, Sequence

from gputui.domain.finding import Finding
from gputui.domain.gpu import Reading
from gputui.domain.memory import GpuMemory
from gputui.domain.service import Edit, Service, ServiceKey
from gputui.domain.units import gib
from gputui.planning.backends.registry import named
from gputui.planning.findings.about import about, either
from gputui.planning.memory_shares import need_on, needs_on, usable_mib
from gputui.planning.needs.budget import smallest_limit, whole_budget
from gputui.planning.needs.fitting import LARGEST_FRACTION, Fit, fit_into, larger_fraction

WORTH_NAMING_MIB = 52
"""Less than this displays as 0.0 GiB."""


def does_not_fit(
    services: Sequence[Service], readings: Sequence[Reading], memory: Sequence[GpuMemory]
) -> list[Finding]:
    """Too little memory: for one service alone, for all together, or because of others' processes."""
    findings = []
    by_uuid = {summary.uuid: summary for summary in memory}
    for reading in readings:
        summary = by_uuid.get(reading.gpu.uuid)
        if summary is None or not summary.over or summary.usable_mib is None:
            continue
        residents = [service for service in services if service.enabled and reading.gpu.uuid in service.assigned]
        needs = needs_on(reading, residents, summary.usable_mib - _foreign(summary))
        all_settled = all(_is_settled(service, reading) for service in residents)
        # A service already running here with what it needs is not to blame for those joining it.
        joining = [
            service
            for service in residents
            if needs[service.key] and (all_settled or not _is_settled(service, reading))
        ]
        alone = [service for service in joining if (needs[service.key] or 0) > summary.usable_mib]
        together = [service for service in joining if service not in alone]
        if len(together) > 1:
            largest = max(together, key=lambda service: needs[service.key] or 0)
            findings.append(_no_room_for_all(largest, reading, summary, residents, needs, readings, memory))
            together = []
        findings += [
            _no_room(service, reading, summary, residents, needs, readings, memory) for service in (*alone, *together)
        ]
    return findings


def _no_room_for_all(
    largest: Service,
    reading: Reading,
    summary: GpuMemory,
    residents: Sequence[Service],
    needs: Mapping[ServiceKey, int | None],
    readings: Sequence[Reading],
    memory: Sequence[GpuMemory],
) -> Finding:
    """One finding for all services of an overfull GPU; the fix is for the largest of those joining it."""
    usable, foreign = summary.usable_mib or 0, _foreign(summary)
    needed = sum(needs[service.key] or 0 for service in residents)
    each = sorted(residents, key=lambda service: -(needs[service.key] or 0))
    parts = [f"{gib(needs[service.key])} {service.name}" for service in each if needs[service.key]]
    parts += [f"{gib(foreign)} of others"] if foreign >= WORTH_NAMING_MIB else []
    amount = f"{gib(needed + foreign)} GiB ({', '.join(parts)}) of {gib(usable)} GiB"
    text = f"GPU {reading.gpu.label} is overcommitted: {amount}"
    free = max(
        0, usable - foreign - sum(needs[service.key] or 0 for service in residents if service.key != largest.key)
    )
    fit = _fix(largest, reading, free, readings, memory)
    code = "foreign-memory" if foreign and needed <= usable else "sum-too-big"
    fix = f"move {largest.name}: {fit.text}"
    return about(largest, code, "warning", text, fix, reading.gpu.uuid, edits=fit.edits)


def adjusted(services: Sequence[Service], readings: Sequence[Reading]) -> list[Finding]:
    """Budgets reduced to what a GPU allows, below the declared ones."""
    findings = []
    for service in services:
        full_budget, limit = whole_budget(service), smallest_limit(readings, service.assigned)
        budget = service.budget_mib
        if not service.enabled or budget is None or budget != limit or full_budget is None or full_budget <= budget:
            continue
        assigned_readings = [reading for reading in readings if reading.gpu.uuid in service.assigned]
        smallest = min(assigned_readings, key=lambda reading: usable_mib(reading) or 0)
        text = (
            f"{service.name}: its budget of {gib(full_budget)} GiB exceeds GPU {smallest.gpu.label} "
            f"({gib(usable_mib(smallest))} GiB). Auto-adjusted to {gib(budget)} GiB. Some models may not load."
        )
        fix = "assign it a larger GPU; --budget keep leaves a budget as it is"
        findings.append(about(service, "budget-adjusted", "warning", text, fix, smallest.gpu.uuid))
    return findings


def below_minimum(services: Sequence[Service], readings: Sequence[Reading]) -> list[Finding]:
    """A service whose flags give it less memory than its model needs."""
    findings = []
    for service in services:
        needs = service.requirement
        if not service.enabled or needs.rule is None or needs.rule.of != "total" or needs.minimum_mib is None:
            continue
        for reading in readings:
            if reading.gpu.uuid not in service.assigned or reading.gpu.uuid in service.running_on:
                continue
            gets = need_on(service, reading)
            if gets is None or gets >= needs.minimum_mib:
                continue
            least = f"{gib(needs.minimum_mib)} GiB{_each(service)} ({needs.source})"
            text = f"{service.name} needs at least {least}, but takes only {gib(gets)} GiB of GPU {reading.gpu.label}"
            fit = larger_fraction(service, reading, readings)
            findings.append(
                about(service, "fraction-too-small", "warning", text, fit.text, reading.gpu.uuid, edits=fit.edits)
            )
            break
    return findings


def fraction_untold(services: Sequence[Service], readings: Sequence[Reading]) -> list[Finding]:
    """A declared need that is not passed to the engine, which then takes its default."""
    findings = []
    for service in services:
        backend = named(service.backend)
        needs, serving = service.requirement, service.serving
        if needs.source != "declared" or needs.claim_mib is None or serving.fraction is None or serving.fraction_given:
            continue
        assigned_readings = [reading for reading in readings if reading.gpu.uuid in service.assigned]
        total = usable_mib(assigned_readings[0]) if assigned_readings else None
        if not backend.memory_flag or total is None or not service.enabled or service.running:
            continue
        fraction = min(LARGEST_FRACTION, -(-needs.claim_mib * 100 // total) / 100)
        if fraction >= serving.fraction:
            continue
        edit = Edit(argument=backend.memory_flag, value=f"{fraction:.2f}", reason="its declared need")
        declared = f"{service.name} is declared to need {gib(needs.claim_mib)} GiB"
        findings.append(
            about(
                service, "fraction-untold", "warning", f"{declared}, but takes {serving.fraction:.0%} by default",
                f"{edit.argument} {edit.value} tells it", assigned_readings[0].gpu.uuid, edits=(edit,),
            )
        )  # fmt: skip
    return findings


def _is_settled(service: Service, reading: Reading) -> bool:
    """Whether it already runs on this GPU with what it needs."""
    return reading.gpu.uuid in service.running_on and service.budget_mib is None


def _foreign(summary: GpuMemory) -> int:
    return sum(part.mib or 0 for part in summary.shares if part.kind == "foreign")


def _each(service: Service) -> str:
    return " on each GPU" if len(service.assigned) > 1 else ""


def _source(service: Service) -> str:
    """The source of the figure, or the setting that makes the service take so much."""
    needs, serving = service.requirement, service.serving
    if service.budget_mib is not None:
        return "budget"
    if needs.rule is None or needs.source == "observed" or serving.fraction is None:
        return needs.source
    setting = f"{named(service.backend).memory_flag or 'its fraction'} {serving.fraction:g}"
    return f"{needs.source}; {setting if serving.fraction_given else f'it takes {serving.fraction:.0%} by default'}"


def _no_room(
    service: Service,
    reading: Reading,
    summary: GpuMemory,
    residents: Sequence[Service],
    needs: Mapping[ServiceKey, int | None],
    readings: Sequence[Reading],
    memory: Sequence[GpuMemory],
) -> Finding:
    usable, need, label = summary.usable_mib or 0, needs[service.key] or 0, reading.gpu.label
    text = f"{service.name} needs {gib(need)} GiB{_each(service)} ({_source(service)}); "
    foreign = _foreign(summary)
    neighbours = [resident for resident in residents if resident.key != service.key]
    free = usable - foreign - sum(needs[neighbour.key] or 0 for neighbour in neighbours)
    if need > usable:
        code = "too-big"
        text += f"GPU {label} has {gib(usable)} GiB in all"
    else:
        holders = [f"{gib(needs[neighbour.key])} {neighbour.name}" for neighbour in neighbours if needs[neighbour.key]]
        strangers = (part for part in summary.shares if part.kind == "foreign" and (part.mib or 0) >= WORTH_NAMING_MIB)
        holders += [f"{gib(part.mib)} {part.name}" for part in strangers]
        code = "foreign-memory" if foreign and need > usable - foreign else "sum-too-big"
        holder_list = f" ({', '.join(holders)})" if holders else ""
        text += f"GPU {label} has {gib(max(0, free))} of {gib(usable)} GiB free{holder_list}"
    fit = _fix(service, reading, max(0, free), readings, memory)
    return about(service, code, "warning", text, fit.text, reading.gpu.uuid, edits=fit.edits)


def _fix(
    service: Service, reading: Reading, free: int, readings: Sequence[Reading], memory: Sequence[GpuMemory]
) -> Fit:
    """Another GPU with enough headroom, else options that make it fit."""
    free_by_uuid = {summary.uuid: summary.free_after_mib for summary in memory}
    fitting = []
    for candidate in readings:
        free_mib = free_by_uuid.get(candidate.gpu.uuid)
        if (
            not candidate.gpu.assignable
            or candidate.state != "ok"
            or candidate.gpu.uuid in service.assigned
            or free_mib is None
        ):
            continue
        need = need_on(service, candidate, free_mib)
        if need is not None and free_mib >= need:
            fitting.append(candidate.gpu.label)
    smaller = fit_into(service, reading, free, readings, free_by_uuid)
    if fitting:
        return Fit(
            f"GPU {either(fitting[:3])} would fit" + (f"; or {smaller.text}" if smaller else ""),
            smaller.edits if smaller else (),
        )
    return smaller or Fit("no other GPU has room for it")
