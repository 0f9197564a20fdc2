"""What a strategy would assign on a server as it is now."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gputui.domain.errors import UsageError
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.service import Service, ServiceKey
from gputui.domain.strategy import StrategyName
from gputui.domain.suggestion import SuggestedAssignment, SuggestedGpu, Suggestion, Unplaced
from gputui.domain.units import gib
from gputui.planning.changes.draft_edit import needs_adoption
from gputui.planning.memory_shares import held_memory, needs_on
from gputui.planning.needs.budget import whole_budget
from gputui.planning.needs.serving_address import UNKNOWN_S, start_s
from gputui.planning.placement.budget_search import budget_to_write, largest_budgets
from gputui.planning.placement.problem import Demand, Placement, Problem
from gputui.planning.placement.server_problem import Server, as_now, problem_of, server_of
from gputui.planning.placement.strategies import solve


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
        server = server_of(services, readings, reserve_mib, placed)
        if strategy == "manual":
            return _as_it_is(server, services, reserve_mib)
        budgets, shrunk = largest_budgets(server)
        problem = problem_of(server, budgets)
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


def _as_it_is(server: Server, services: Sequence[Service], reserve_mib: int) -> Suggestion:
    """What is assigned now, for comparison."""
    gpus = _gpus(server, services)
    short = [one.label for one in gpus if one.free_after_mib < reserve_mib] if reserve_mib else []
    return Suggestion(
        strategy="manual",
        reserve_mib=reserve_mib,
        proved_best=False,
        assignments=tuple(as_now(one) for one in server.movable),
        fixed=server.stays,
        unplaced=server.stuck,
        gpus=gpus,
        notes=(f"less than the reserve is free on GPU {','.join(short)}",) if short else (),
    )


def _gpus(server: Server, services: Sequence[Service]) -> tuple[SuggestedGpu, ...]:
    """What each GPU would hold, with the claims that the services make once they run: one that fills what is free takes
    more than it was placed by."""
    found = []
    for reading, gpu in zip(server.readings, server.gpus, strict=True):
        uuid = gpu.uuid
        held = held_memory(reading, services)
        needs = needs_on(reading, services, gpu.total_mib - server.foreign[uuid])
        planned = sum(held.get(key, 0) if need is None else need for key, need in needs.items())
        found.append(
            SuggestedGpu(
                uuid=uuid,
                label=reading.gpu.label,
                total_mib=gpu.total_mib,
                planned_mib=planned,
                foreign_mib=server.foreign[uuid],
                free_after_mib=gpu.total_mib - server.foreign[uuid] - planned,
            )
        )
    return tuple(found)


def _suggestion(
    strategy: StrategyName,
    server: Server,
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
        uuids = {problem.gpus[place].uuid for place in places}
        needs = {problem.gpus[place].uuid: demand.needs_mib[place] or 0 for place in places}
        budget = budget_to_write(service, server, needs, budgets, shrunk)
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
    server: Server,
    assignments: Sequence[SuggestedAssignment],
    shrunk: set[ServiceKey],
    budgets: Mapping[ServiceKey, int],
) -> tuple[str, ...]:
    notes = [
        f"the VRAM budget of {one.name} is {budgets[one.key] * 100 // 1024 / 100:.2f} GiB, "
        f"not {gib(whole_budget(one))}: some of what it does may not fit"
        for one in server.movable
        if one.key in shrunk
    ]
    notes += [
        f"{one.name} gets its whole {gib(whole_budget(one))} GiB again"
        for one in server.movable
        if one.budget_mib is not None and one.key in budgets and one.key not in shrunk and one.declared_mib is not None
    ]
    guessed = [one.name for one in server.movable if _is_guess(one)]
    if guessed:
        notes.append(f"how much {', '.join(guessed)} needs at least is not known, or guessed from a name")
    if strategy == "isolation" and assignments:
        notes += _isolation_notes(server, assignments)
    if strategy == "latency" and assignments and not any(gpu.speed[0] for gpu in server.gpus):
        notes.append("how fast the GPUs are is not known: all count as equally fast")
    return tuple(notes)


def _is_guess(service: Service) -> bool:
    return service.budget_mib is None and service.requirement.source in ("rule of thumb", "unknown")


def _isolation_notes(server: Server, assignments: Sequence[SuggestedAssignment]) -> list[str]:
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
    most = max((problem.gpus[place].headroom_mib for place in usable), default=0)
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
    server = server_of(services, readings, 0, [service])
    budgets, shrunk = largest_budgets(server)
    problem = problem_of(server, budgets)
    found = _suggestion("vram", server, services, problem, solve("vram", problem), budgets, shrunk, 0)
    if found.unplaced:
        raise UsageError(f"{service.name}: {found.unplaced[0].reason}", "name the GPUs yourself, or free memory first")
    return found.assignments[0]
