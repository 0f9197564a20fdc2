"""What a strategy would assign on a server as it is now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from gputui.domain.errors import UsageError
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.service import Service, ServiceKey
from gputui.domain.suggestion import StrategyName, SuggestedAssignment, SuggestedGpu, Suggestion, Unplaced
from gputui.domain.units import gib
from gputui.planning.dtype import cannot_run
from gputui.planning.edit import needs_adoption
from gputui.planning.memory import held_memory, need_on, needs_on, usable_mib
from gputui.planning.place_all import place_all
from gputui.planning.placement import Demand, Placement, Problem, Room, canonical
from gputui.planning.start_time import UNKNOWN_S, start_s
from gputui.planning.strategies import solve

SMALLEST_BUDGET_MIB = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """The server as a placement problem."""

    readings: tuple[Reading, ...]
    rooms: tuple[Room, ...]
    foreign: Mapping[str, int]
    fixed: Mapping[str, int]
    movable: tuple[Service, ...]
    stuck: tuple[Unplaced, ...]
    stays: tuple[SuggestedAssignment, ...]


def suggest(
    strategy: StrategyName,
    services: Sequence[Service],
    readings: Sequence[Reading],
    *,
    reserve_mib: int = 0,
    adopt: bool = False,
) -> Suggestion:
    """What a strategy would assign, with `reserve_mib` kept free on every GPU.

    Placed are services that are enabled and ours, and with `adopt` those that were only found; else these stay where
    they are. Their memory, and other people's, is not to be had; a service's own present memory is.
    """
    placed = [one for one in services if _may_move(one, adopt)]
    kept: list[Unplaced] = []
    while True:
        server = _server(services, readings, reserve_mib, placed)
        if strategy == "manual":
            return _as_it_is(server, services, reserve_mib)
        budgets, shrunk = _budgets(server)
        problem = _problem(server, budgets)
        found = _suggestion(strategy, server, services, problem, solve(strategy, problem), budgets, shrunk, reserve_mib)
        # What runs is never left without a place: it stays, and the others are placed around it.
        stay = [one for one in found.unplaced if any(it.key == one.service and it.running for it in server.movable)]
        if not stay:
            return replace(found, unplaced=tuple(sorted((*found.unplaced, *kept), key=lambda one: one.service)))
        kept += [replace(one, reason=f"{one.reason}; it stays where it runs", stays=True) for one in stay]
        staying = {one.service for one in stay}
        placed = [one for one in placed if one.key not in staying]


def _may_move(service: Service, adopt: bool) -> bool:
    return service.enabled and (adopt or not needs_adoption(service))


def _server(
    services: Sequence[Service], readings: Sequence[Reading], reserve_mib: int, placed: Sequence[Service]
) -> _Server:
    """The problem of placing the services `placed`, while all others stay."""
    usable = [
        one
        for one in readings
        if one.state in ("ok", "stale")
        and one.gpu.assignable
        and usable_mib(one) is not None
        and one.memory_used_mib is not None
    ]
    movable, stuck = [], []
    for service in placed:
        if _size_is_unknown(service) or all(_need(service, reading, usable_mib(reading)) is None for reading in usable):
            reason = _why_unknown(service)
            stuck.append(Unplaced(service=service.key, name=service.name, reason=reason, stays=bool(service.assigned)))
        else:
            movable.append(service)
    ours = {service.key for service in movable}
    rooms, foreign, fixed = [], {}, {}
    for reading in usable:
        held = held_memory(reading, services)
        uuid = reading.gpu.uuid
        foreign[uuid] = max(0, (reading.memory_used_mib or 0) - sum(held.values()))
        fixed[uuid] = sum(_keeps(one, reading, held.get(one.key, 0)) for one in services if one.key not in ours)
        total = usable_mib(reading) or 0
        rooms.append(
            Room(
                uuid=uuid,
                room_mib=total - foreign[uuid] - fixed[uuid] - reserve_mib,
                total_mib=total,
                used_mib=foreign[uuid] + fixed[uuid],
                kind=uuid
                if reading.gpu.mig_index is not None
                else f"{reading.gpu.name} {reading.gpu.memory_total_mib}",
                island=reading.gpu.island,
                speed=reading.gpu.speed,
                order=reading.gpu.pci_order,
            )
        )
    return _Server(
        readings=tuple(usable),
        rooms=tuple(rooms),
        foreign=foreign,
        fixed=fixed,
        movable=tuple(movable),
        stuck=tuple(stuck),
        stays=tuple(_as_now(one) for one in services if one.enabled and needs_adoption(one) and one not in placed),
    )


def _keeps(service: Service, reading: Reading, held_mib: int) -> int:
    """MiB that a service which is not placed keeps on a GPU: what the draft leaves it, if it is ours; what it holds, if
    it was only found."""
    need = need_on(service, reading) if service.enabled and reading.gpu.uuid in service.assigned else 0
    if service.adopted and need is not None:
        return need
    return max(held_mib, need or 0)


def _as_now(service: Service) -> SuggestedAssignment:
    return SuggestedAssignment(
        service=service.key, name=service.name, gpus=service.assigned, budget_mib=service.budget_mib
    )


def count_of(service: Service) -> int:
    """How many GPUs a service is to get: what its flags make it use, else as many as it has."""
    return service.serving.world or max(1, len(service.assigned))


def _need(service: Service, reading: Reading, room_mib: int | None = None) -> int | None:
    """MiB that a service would take on this GPU; None where it cannot run there, or nothing is known.

    One that takes a fraction of the total has to find its minimum within that. One that takes a fraction of what is
    free counts with that of the whole `room_mib`, so that it does no harm whenever it starts.
    """
    runs_here = reading.gpu.uuid in service.running_on
    if not runs_here and cannot_run(service, reading.gpu) is not None:
        return None
    if reading.gpu.mig_index is not None and count_of(service) > 1:
        return None
    needs = service.requirement
    need = need_on(service, reading, room_mib)
    if service.budget_mib is not None or needs.rule is None or need is None:
        return need
    if needs.minimum_mib is None:
        # A fraction of a smaller GPU is less, which is no sign that its model fits there.
        smallest = service.smallest_gpu_mib
        too_small = smallest is not None and (reading.memory_total_mib or 0) < smallest
        return None if too_small else need
    return None if need < needs.minimum_mib else need


def _size_is_unknown(service: Service) -> bool:
    """How many GPUs it uses cannot be told from its command, nor from what it has."""
    return service.serving.world is None and service.serving.tensor is None and not service.assigned


def _why_unknown(service: Service) -> str:
    if _size_is_unknown(service):
        return "how many GPUs it uses cannot be told from its command: assign it some once"
    if service.requirement.claim_mib is None:
        return "what it needs is not known: declare it as x-gputui.vram, or run it once"
    return f"no GPU here can run it: it needs {gib(service.requirement.minimum_mib)} GiB"


def _problem(server: _Server, budgets: Mapping[ServiceKey, int]) -> Problem:
    at = {room.uuid: place for place, room in enumerate(server.rooms)}
    demands = []
    for service in server.movable:
        here = replace(service, budget_mib=budgets.get(service.key, service.budget_mib))
        current = tuple(at[uuid] for uuid in service.assigned if uuid in at)
        demands.append(
            Demand(
                name=str(service.key),
                count=count_of(service),
                needs_mib=tuple(
                    _need(here, reading, max(0, room.room_mib))
                    for reading, room in zip(server.readings, server.rooms, strict=True)
                ),
                group=service.serving.group,
                even=service.backend == "sglang" and service.serving.group,
                priority=service.priority,
                protected=service.isolate,
                current=current if len(current) == len(service.assigned) else (),
            )
        )
    return canonical(server.rooms, demands)


# --- budgets ------------------------------------------------------------------------------------------------------


def _whole(service: Service) -> int | None:
    """The budget with which nothing of a service has to be left out: what was declared, else the budget that somebody
    gave it, else what it takes."""
    return service.declared_mib or service.budget_mib or service.requirement.claim_mib


def _smallest(service: Service) -> int:
    """The budget below which it is no use."""
    needs = service.requirement
    known = needs.minimum_mib if needs.source == "weights" or needs.rule is not None else None
    return max(SMALLEST_BUDGET_MIB, known or 0)


def _budgets(server: _Server) -> tuple[dict[ServiceKey, int], set[ServiceKey]]:
    """The budget of each service that has one: the whole, or where not everything would fit then, the largest with
    which as much fits as without any budget at all; services of higher priority first. Also which are smaller than the
    whole."""
    adjustable = sorted(
        (one for one in server.movable if one.has_budget and _whole(one) is not None),
        key=lambda one: (-one.priority, one.key),
    )
    whole = {one.key: _whole(one) or 0 for one in adjustable}
    if not adjustable or _unplaced(server, whole) == 0:
        return whole, set()
    budgets = {one.key: min(_smallest(one), whole[one.key]) for one in adjustable}
    best = _unplaced(server, budgets)
    if best == _unplaced(server, whole):
        return whole, set()
    for key, most in whole.items():
        low, high = budgets[key], most + 1
        while high - low > 1:
            middle = (low + high) // 2
            if _unplaced(server, {**budgets, key: middle}) <= best:
                low = middle
            else:
                high = middle
        budgets[key] = low
    return budgets, {key for key, most in whole.items() if budgets[key] < most}


def _unplaced(server: _Server, budgets: Mapping[ServiceKey, int]) -> int:
    return len(place_all(_problem(server, budgets)).reasons)


# --- the answer ---------------------------------------------------------------------------------------------------


def _as_it_is(server: _Server, services: Sequence[Service], reserve_mib: int) -> Suggestion:
    """What is assigned now, for comparison."""
    return Suggestion(
        strategy="manual",
        reserve_mib=reserve_mib,
        proved_best=False,
        assignments=tuple(_as_now(one) for one in server.movable),
        fixed=server.stays,
        unplaced=server.stuck,
        gpus=_gpus(server, services),
        notes=_below_reserve(server, services, reserve_mib),
    )


def _below_reserve(server: _Server, services: Sequence[Service], reserve_mib: int) -> tuple[str, ...]:
    short = [one.label for one in _gpus(server, services) if one.free_after_mib < reserve_mib]
    return (f"less than the reserve is free on GPU {','.join(short)}",) if short and reserve_mib else ()


def _gpus(server: _Server, services: Sequence[Service]) -> tuple[SuggestedGpu, ...]:
    """What each GPU would hold, with the claims that the services make once they run: one that fills what is free takes
    more than it was placed by."""
    found = []
    for reading, room in zip(server.readings, server.rooms, strict=True):
        uuid = room.uuid
        held = held_memory(reading, services)
        needs = needs_on(reading, services, room.total_mib - server.foreign[uuid])
        planned = sum(held.get(key, 0) if need is None else need for key, need in needs.items())
        found.append(
            SuggestedGpu(
                uuid=uuid,
                label=reading.gpu.label,
                total_mib=room.total_mib,
                planned_mib=planned,
                foreign_mib=server.foreign[uuid],
                free_after_mib=room.total_mib - server.foreign[uuid] - planned,
            )
        )
    return tuple(found)


def _suggestion(
    strategy: StrategyName,
    server: _Server,
    services: Sequence[Service],
    problem: Problem,
    placement: Placement,
    budgets: Mapping[ServiceKey, int],
    shrunk: set[ServiceKey],
    reserve_mib: int,
) -> Suggestion:
    by_name = {str(one.key): one for one in server.movable}
    assignments: list[SuggestedAssignment] = []
    unplaced = list(server.stuck)
    gpus = {reading.gpu.uuid: reading.gpu for reading in server.readings}
    for number, (demand, places) in enumerate(zip(problem.demands, placement.places, strict=True)):
        service = by_name[demand.name]
        if places is None:
            reason = _why_unplaced(demand, problem, placement.reasons.get(number, ""))
            unplaced.append(Unplaced(service=service.key, name=service.name, reason=reason))
            continue
        uuids = {problem.rooms[place].uuid for place in places}
        needs = {problem.rooms[place].uuid: demand.needs_mib[place] or 0 for place in places}
        budget = _budget(service, server, needs, budgets, shrunk)
        assignments.append(
            SuggestedAssignment(
                service=service.key,
                name=service.name,
                gpus=_ordered(uuids, service, gpus),
                budget_mib=budget,
                moved=uuids != set(service.assigned),
                adjusted=budget != service.budget_mib,
            )
        )
    assignments.sort(key=lambda one: one.service)
    moved = [one.service for one in assignments if one.moved or one.adjusted]
    running = [one for one in server.movable if one.key in moved and one.running]
    return Suggestion(
        strategy=strategy,
        reserve_mib=reserve_mib,
        proved_best=placement.proved_best,
        assignments=tuple(assignments),
        fixed=server.stays,
        unplaced=tuple(sorted(unplaced, key=lambda one: one.service)),
        gpus=_gpus(server, _as_suggested(services, assignments, unplaced)),
        moves=sum(one.moved for one in assignments),
        down_s=max((start_s(one) or UNKNOWN_S for one in running), default=None),
        notes=_notes(strategy, server, assignments, shrunk, budgets),
    )


def _budget(
    service: Service,
    server: _Server,
    needs: Mapping[str, int],
    budgets: Mapping[ServiceKey, int],
    shrunk: set[ServiceKey],
) -> int | None:
    """The budget to be written down: none where what was declared fits whole and the service takes no more without."""
    if service.key in shrunk:
        return budgets[service.key]
    if service.declared_mib is None or service.key not in budgets:
        return service.budget_mib
    untold = replace(service, budget_mib=None)
    for reading in server.readings:
        planned = needs.get(reading.gpu.uuid)
        if planned is not None and (need_on(untold, reading, usable_mib(reading)) or 0) > planned:
            return budgets[service.key]
    return None


def _as_suggested(
    services: Sequence[Service], assignments: Sequence[SuggestedAssignment], unplaced: Sequence[Unplaced]
) -> list[Service]:
    """The services as they would be."""
    given = {one.service: one for one in assignments}
    disabled = {one.service for one in unplaced if not one.stays}
    after = []
    for service in services:
        one = given.get(service.key)
        if one is not None:
            after.append(replace(service, assigned=one.gpus, budget_mib=one.budget_mib))
        else:
            after.append(replace(service, enabled=False) if service.key in disabled else service)
    return after


def _ordered(uuids: set[str], service: Service, gpus: Mapping[str, Gpu]) -> tuple[str, ...]:
    """The operator's order where the GPUs are the same, else that of their addresses."""
    if uuids == set(service.assigned):
        return service.assigned
    return tuple(sorted(uuids, key=lambda uuid: gpus[uuid].pci_order))


def _notes(
    strategy: StrategyName,
    server: _Server,
    assignments: Sequence[SuggestedAssignment],
    shrunk: set[ServiceKey],
    budgets: Mapping[ServiceKey, int],
) -> tuple[str, ...]:
    notes = [
        f"the VRAM budget of {one.name} is {budgets[one.key] * 100 // 1024 / 100:.2f} GiB, not {gib(_whole(one))}: "
        "some of what it does may not fit"
        for one in server.movable
        if one.key in shrunk
    ]
    notes += [
        f"{one.name} gets its whole {gib(_whole(one))} GiB again"
        for one in server.movable
        if one.budget_mib is not None and one.key in budgets and one.key not in shrunk and one.declared_mib is not None
    ]
    guessed = [one.name for one in server.movable if _is_guess(one)]
    if guessed:
        notes.append(f"how much {', '.join(guessed)} needs at least is not known, or guessed from a name")
    if strategy == "isolation" and assignments:
        notes += _isolation_notes(server, assignments)
    if strategy == "latency" and assignments and not any(room.speed[0] for room in server.rooms):
        notes.append("how fast the GPUs are is not known: all count as equally fast")
    return tuple(notes)


def _is_guess(service: Service) -> bool:
    return service.budget_mib is None and service.requirement.source in ("rule of thumb", "unknown")


def _isolation_notes(server: _Server, assignments: Sequence[SuggestedAssignment]) -> list[str]:
    notes = []
    protected = [one.name for one in server.movable if one.isolate]
    if not protected:
        most = max(server.movable, key=lambda one: (one.priority, one.requirement.claim_mib or 0))
        protected = [most.name]
        notes.append(f"no service is marked x-gputui.isolate: {most.name} is kept apart, the most important or largest")
    for one in assignments:
        neighbours = [other.name for other in assignments if other is not one and set(other.gpus) & set(one.gpus)]
        if one.name in protected and neighbours:
            notes.append(f"{one.name} cannot be kept apart: {', '.join(neighbours)} share a GPU with it")
    return notes


def _why_unplaced(demand: Demand, problem: Problem, kind: str) -> str:
    needs = f"it needs {gib(demand.size)} GiB"
    if demand.count > 1:
        needs += f" on each of {demand.count} {'equal ' if demand.group else ''}GPUs"
    usable = [place for place, need in enumerate(demand.needs_mib) if need is not None]
    if len(usable) < demand.count:
        return f"{needs}; {len(usable)} here can be used by it"
    most = max((problem.rooms[place].room_mib for place in usable), default=0)
    if kind == "no_gpu_alone" and most < demand.size:
        return f"{needs}; the most that can be had on one is {gib(max(0, most))} GiB"
    if kind == "no_gpu_alone":
        alike = "of one kind and with equal free memory " if demand.even else "of one kind " if demand.group else ""
        return f"{needs}; there are not {demand.count} {alike}with that much"
    return f"{needs}, and the other services leave no room for it"


def automatic(service: Service, services: Sequence[Service], readings: Sequence[Reading]) -> SuggestedAssignment:
    """The GPUs for one service while all others stay where they are: those with most memory left (what `auto` means).

    Raises:
        UsageError: there is no room for it.
    """
    server = _server(services, readings, 0, [service])
    budgets, shrunk = _budgets(server)
    problem = _problem(server, budgets)
    found = _suggestion("vram", server, services, problem, solve("vram", problem), budgets, shrunk, 0)
    if found.unplaced:
        raise UsageError(f"{service.name}: {found.unplaced[0].reason}", "name the GPUs yourself, or free memory first")
    return found.assignments[0]
