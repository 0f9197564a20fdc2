"""VRAM budgets that make everything fit."""

from collections.abc import Mapping
from dataclasses import replace

from gputui.domain.service import Service, ServiceKey
from gputui.planning.memory_shares import need_on, usable_mib
from gputui.planning.needs.budget import whole_budget
from gputui.planning.placement.place_all import place_all
from gputui.planning.placement.server_problem import Server, problem_of

SMALLEST_BUDGET_MIB = 256


def _smallest(service: Service) -> int:
    """The smallest useful budget of a service."""
    needs = service.requirement
    floor_mib = needs.minimum_mib if needs.source == "weights" or needs.rule is not None else None
    return max(SMALLEST_BUDGET_MIB, floor_mib or 0)


def largest_budgets(server: Server) -> tuple[dict[ServiceKey, int], set[ServiceKey]]:
    """The budget of each service that has one: the full budget, or if not everything would fit then, the largest that
    places as many services as the smallest budgets would; services of higher priority first. Also returns which are
    below their full budget."""
    adjustable = sorted(
        (service for service in server.movable if service.has_budget and whole_budget(service) is not None),
        key=lambda service: (-service.priority, service.key),
    )
    full_budgets = {service.key: whole_budget(service) or 0 for service in adjustable}
    if not adjustable or _number_unplaced(server, full_budgets) == 0:
        return full_budgets, set()
    budgets = {service.key: min(_smallest(service), full_budgets[service.key]) for service in adjustable}
    best = _number_unplaced(server, budgets)
    if best == _number_unplaced(server, full_budgets):
        return full_budgets, set()
    for key, most in full_budgets.items():
        low, high = budgets[key], most + 1
        while high - low > 1:
            middle = (low + high) // 2
            if _number_unplaced(server, {**budgets, key: middle}) <= best:
                low = middle
            else:
                high = middle
        budgets[key] = low
    return budgets, {key for key, most in full_budgets.items() if budgets[key] < most}


def _number_unplaced(server: Server, budgets: Mapping[ServiceKey, int]) -> int:
    return len(place_all(problem_of(server, budgets)).reasons)


def budget_to_write(
    service: Service,
    server: Server,
    needs: Mapping[str, int],
    budgets: Mapping[ServiceKey, int],
    shrunk: set[ServiceKey],
) -> int | None:
    """The budget to save: None if the declared one fits in full and the service takes no more without it."""
    if service.key in shrunk:
        return budgets[service.key]
    if service.declared_mib is None or service.key not in budgets:
        return service.budget_mib
    unbudgeted = replace(service, budget_mib=None)
    for reading in server.readings:
        planned = needs.get(reading.gpu.uuid)
        if planned is not None and (need_on(unbudgeted, reading, usable_mib(reading)) or 0) > planned:
            return budgets[service.key]
    return None
