"""What a strategy would assign on the server as it is."""

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
from gputui.planning.placement.server_problem import Server, present_assignment, problem_of, server_of
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

    It places services that are enabled and adopted, and with `adopt` unmanaged ones too; otherwise these stay where
    they are. Their memory, and other people's, is not available; a service's own present memory is.
    """
    placed = [service for service in services if _may_move(service, adopt)]
    staying_put: list[Unplaced] = []
    while True:
        server = server_of(services, readings, reserve_mib, placed)
        if strategy == "manual":
            return _as_it_is(server, services, reserve_mib)
        budgets, shrunk = largest_budgets(server)
        problem = problem_of(server, budgets)
        suggestion = _suggestion(
            strategy, server, services, problem, solve(strategy, problem), budgets, shrunk, reserve_mib
        )
        # A running service is never left without a place: it stays, and the others are placed around it.
        stranded = [
            unplaced
            for unplaced in suggestion.unplaced
            if any(service.key == unplaced.service and service.running for service in server.movable)
        ]
        if not stranded:
            return replace(
                suggestion,
                unplaced=tuple(sorted((*suggestion.unplaced, *staying_put), key=lambda unplaced: unplaced.service)),
            )
        staying_put += [
            replace(unplaced, reason=f"{unplaced.reason}; it stays where it runs", stays=True) for unplaced in stranded
        ]
        staying = {unplaced.service for unplaced in stranded}
        placed = [service for service in placed if service.key not in staying]


def _may_move(service: Service, adopt: bool) -> bool:
    return service.enabled and (adopt or not needs_adoption(service))


def _as_it_is(server: Server, services: Sequence[Service], reserve_mib: int) -> Suggestion:
    """The present assignment, for comparison."""
    gpus = _gpus(server, services)
    short = [gpu.label for gpu in gpus if gpu.free_after_mib < reserve_mib] if reserve_mib else []
    return Suggestion(
        strategy="manual",
        reserve_mib=reserve_mib,
        proved_best=False,
        assignments=tuple(present_assignment(service) for service in server.movable),
        fixed=server.stays,
        unplaced=server.stuck,
        gpus=gpus,
        notes=(f"less than the reserve is free on GPU {','.join(short)}",) if short else (),
    )


def _gpus(server: Server, services: Sequence[Service]) -> tuple[SuggestedGpu, ...]:
    """What each GPU would hold, counting the claims of running services: one that fills the free memory takes more than
    it was placed with."""
    suggested_gpus = []
    for reading, gpu in zip(server.readings, server.gpus, strict=True):
        uuid = gpu.uuid
        held_by_key = held_memory(reading, services)
        needs = needs_on(reading, services, gpu.total_mib - server.foreign[uuid])
        planned = sum(held_by_key.get(key, 0) if need is None else need for key, need in needs.items())
        suggested_gpus.append(
            SuggestedGpu(
                uuid=uuid,
                label=reading.gpu.label,
                total_mib=gpu.total_mib,
                planned_mib=planned,
                foreign_mib=server.foreign[uuid],
                free_after_mib=gpu.total_mib - server.foreign[uuid] - planned,
            )
        )
    return tuple(suggested_gpus)


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
    by_name = {str(service.key): service for service in server.movable}
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
    assignments.sort(key=lambda assignment: assignment.service)
    moved = [assignment.service for assignment in assignments if assignment.moved or assignment.adjusted]
    running = [service for service in server.movable if service.key in moved and service.running]
    return Suggestion(
        strategy=strategy,
        reserve_mib=reserve_mib,
        proved_best=placement.proved_best,
        assignments=tuple(assignments),
        fixed=server.stays,
        unplaced=tuple(sorted(unplaced, key=lambda entry: entry.service)),
        gpus=_gpus(server, _as_suggested(services, assignments, unplaced)),
        moves=sum(assignment.moved for assignment in assignments),
        down_s=max((start_s(service) or UNKNOWN_S for service in running), default=None),
        notes=_notes(strategy, server, assignments, shrunk, budgets),
    )


def _as_suggested(
    services: Sequence[Service], assignments: Sequence[SuggestedAssignment], unplaced: Sequence[Unplaced]
) -> list[Service]:
    """The services as suggested."""
    assignment_of = {assignment.service: assignment for assignment in assignments}
    disabled = {entry.service for entry in unplaced if not entry.stays}
    suggested = []
    for service in services:
        assignment = assignment_of.get(service.key)
        if assignment is not None:
            suggested.append(replace(service, assigned=assignment.gpus, budget_mib=assignment.budget_mib))
        else:
            suggested.append(replace(service, enabled=False) if service.key in disabled else service)
    return suggested


def _ordered(uuids: set[str], service: Service, gpus: Mapping[str, Gpu]) -> tuple[str, ...]:
    """The operator's order if the GPUs are the same, else by PCI address."""
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
        f"the VRAM budget of {service.name} is {budgets[service.key] * 100 // 1024 / 100:.2f} GiB, "
        f"not {gib(whole_budget(service))}: some of what it does may not fit"
        for service in server.movable
        if service.key in shrunk
    ]
    notes += [
        f"{service.name} gets its whole {gib(whole_budget(service))} GiB again"
        for service in server.movable
        if service.budget_mib is not None
        and service.key in budgets
        and service.key not in shrunk
        and service.declared_mib is not None
    ]
    guessed = [service.name for service in server.movable if _is_guess(service)]
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
    protected = [service.name for service in server.movable if service.isolate]
    if not protected:
        most = max(server.movable, key=lambda service: (service.priority, service.requirement.claim_mib or 0))
        protected = [most.name]
        notes.append(f"no service is marked x-gputui.isolate: {most.name} is kept apart, the most important or largest")
    for assignment in assignments:
        neighbours = [
            neighbour.name
            for neighbour in assignments
            if neighbour is not assignment and set(neighbour.gpus) & set(assignment.gpus)
        ]
        if assignment.name in protected and neighbours:
            notes.append(f"{assignment.name} cannot be kept apart: {', '.join(neighbours)} share a GPU with it")
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
    """The GPUs for one service while all others stay: those with the most free memory (what `auto` means).

    Raises:
        UsageError: there is not enough headroom for it.
    """
    server = server_of(services, readings, 0, [service])
    budgets, shrunk = largest_budgets(server)
    problem = problem_of(server, budgets)
    suggestion = _suggestion("vram", server, services, problem, solve("vram", problem), budgets, shrunk, 0)
    if suggestion.unplaced:
        raise UsageError(
            f"{service.name}: {suggestion.unplaced[0].reason}", "name the GPUs yourself, or free memory first"
        )
    return suggestion.assignments[0]
