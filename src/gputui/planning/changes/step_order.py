"""The order of steps: who must free a GPU for whom, who depends on whom, who swaps places."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gputui.domain.plan import Step

Predecessors = Mapping[int, frozenset[int]]
"""For each position in a sequence of steps, the positions of the steps before it."""


def in_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps in the order of their units, with `unit` and `after` filled in; those that do nothing come last.

    A step that leaves a GPU comes before one that moves to it, and a service before those that depend on it. Steps that
    wait for each other in a cycle (A to B's GPU, B to A's) form one unit: all of them release their GPUs, then all
    start, and if one fails all are rolled back. Steps with a GPU in common, now or afterwards, never start at the same
    time: a program that measures free memory while another one loads counts the other's as its own.
    """
    doing = sorted((step for step in steps if step.action != "none"), key=lambda step: step.action != "stop")
    needs = _needs(doing)
    predecessors = _together(needs, _frees(doing), _shares(doing))
    reached = {place: _reached(place, predecessors) for place in predecessors}
    ordered: list[tuple[int, Step]] = []
    waiting = list(predecessors)
    number = 0
    while waiting:
        units = (
            [candidate for candidate in waiting if candidate == place or _circle(place, candidate, reached)]
            for place in waiting
        )
        unit = next(
            unit
            for unit in units
            if not (set().union(*(reached[member] for member in unit)) & set(waiting)) - set(unit)
        )
        number += 1
        for place in sorted(unit, key=lambda member: (len(_reached(member, needs) & set(unit)), member)):
            waits_for = [
                ordered_step
                for earlier, ordered_step in ordered
                if earlier in needs[place] or _meet(ordered_step, doing[place], together=ordered_step.unit == number)
            ]
            keys = tuple(earlier_step.service for earlier_step in waits_for)
            ordered.append((place, replace(doing[place], unit=number, after=keys)))
        waiting = [waiting_place for waiting_place in waiting if waiting_place not in unit]
    return (*(step for _, step in ordered), *(step for step in steps if step.action == "none"))


def _needs(steps: Sequence[Step]) -> Predecessors:
    """Which services a step must find running: its dependencies, and those whose namespaces it uses."""
    places = {step.service: place for place, step in enumerate(steps)}
    return {
        place: frozenset(
            places[key]
            for key in (*(step.depends_on if step.action != "stop" else ()), *step.shares)
            if key in places and key != step.service
        )
        for place, step in enumerate(steps)
    }


def _frees(steps: Sequence[Step]) -> Predecessors:
    """Which steps leave a GPU that a step moves to."""
    return {
        place: frozenset(
            earlier_place
            for earlier_place, earlier in enumerate(steps)
            if earlier_place != place and _wants(step) & (set(earlier.holds) - _wants(earlier))
        )
        for place, step in enumerate(steps)
    }


def _shares(steps: Sequence[Step]) -> Predecessors:
    """A namespace goes with its container, so whoever uses it is rolled back with it, or not at all."""
    return {
        place: frozenset(user_place for user_place, user in enumerate(steps) if step.service in user.shares)
        for place, step in enumerate(steps)
    }


def _together(*all_of: Predecessors) -> Predecessors:
    return {place: frozenset().union(*(predecessors[place] for predecessors in all_of)) for place in all_of[0]}


def _wants(step: Step) -> set[str]:
    return set(step.view.gpus) if step.view and step.action != "stop" else set()


def _meet(first: Step, second: Step, *, together: bool) -> bool:
    """Whether two steps have a GPU in common. Within a unit all have released theirs before the first starts, so only
    the GPUs they start on count."""
    if together:
        return bool(_wants(first) & _wants(second))
    return bool((_wants(first) | set(first.holds)) & (_wants(second) | set(second.holds)))


def _reached(place: int, predecessors: Predecessors) -> frozenset[int]:
    """Everything that comes before, directly or not."""
    reachable: set[int] = set()
    waiting = list(predecessors[place])
    while waiting:
        current = waiting.pop()
        if current not in reachable:
            reachable.add(current)
            waiting += predecessors[current]
    return frozenset(reachable)


def _circle(first: int, second: int, reached: Mapping[int, frozenset[int]]) -> bool:
    return second in reached[first] and first in reached[second]
