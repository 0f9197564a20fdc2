"""In which order steps are carried out: who must free a GPU for whom, who depends on whom, who changes places."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gputui.domain.plan import Step

Before = Mapping[int, frozenset[int]]
"""For each place in a sequence of steps, the places of those that come before it."""


def in_order(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps in the order of their units, with `unit` and `after` filled in; those that do nothing come last.

    A step that leaves a GPU comes before one that comes to it, and a service before those that depend on it. Steps
    that wait for each other in a circle (A to B's GPU, B to A's) are one unit: all of them let go, then all start, and
    if one fails all are put back. Steps that have a GPU in common, now or afterwards, never start at the same time: a
    program that measures free memory while another one loads takes the other's for its own.
    """
    doing = sorted((step for step in steps if step.action != "none"), key=lambda step: step.action != "stop")
    needs = _needs(doing)
    before = _together(needs, _frees(doing), _shares(doing))
    reached = {place: _reached(place, before) for place in before}
    found: list[tuple[int, Step]] = []
    waiting = list(before)
    number = 0
    while waiting:
        units = ([other for other in waiting if other == one or _circle(one, other, reached)] for one in waiting)
        unit = next(
            unit for unit in units if not (set().union(*(reached[one] for one in unit)) & set(waiting)) - set(unit)
        )
        number += 1
        for place in sorted(unit, key=lambda one: (len(_reached(one, needs) & set(unit)), one)):
            after = [
                other
                for earlier, other in found
                if earlier in needs[place] or _meet(other, doing[place], together=other.unit == number)
            ]
            keys = tuple(other.service for other in after)
            found.append((place, replace(doing[place], unit=number, after=keys)))
        waiting = [one for one in waiting if one not in unit]
    return (*(step for _, step in found), *(step for step in steps if step.action == "none"))


def _needs(steps: Sequence[Step]) -> Before:
    """Whom a step has to find running: what it depends on, and whose namespaces it uses."""
    places = {step.service: place for place, step in enumerate(steps)}
    return {
        place: frozenset(
            places[key]
            for key in (*(step.depends_on if step.action != "stop" else ()), *step.shares)
            if key in places and key != step.service
        )
        for place, step in enumerate(steps)
    }


def _frees(steps: Sequence[Step]) -> Before:
    """Who leaves a GPU that a step comes to."""
    return {
        place: frozenset(
            other
            for other, leaving in enumerate(steps)
            if other != place and _wants(step) & (set(leaving.holds) - _wants(leaving))
        )
        for place, step in enumerate(steps)
    }


def _shares(steps: Sequence[Step]) -> Before:
    """A namespace goes with its container, so whoever uses it is put back with it, or not at all."""
    return {
        place: frozenset(other for other, user in enumerate(steps) if step.service in user.shares)
        for place, step in enumerate(steps)
    }


def _together(*all_of: Before) -> Before:
    return {place: frozenset().union(*(one[place] for one in all_of)) for place in all_of[0]}


def _wants(step: Step) -> set[str]:
    return set(step.view.gpus) if step.view and step.action != "stop" else set()


def _meet(one: Step, other: Step, *, together: bool) -> bool:
    """Whether two steps have a GPU in common. Of a unit all have let go when the first starts, so that only the GPUs
    they start on count."""
    if together:
        return bool(_wants(one) & _wants(other))
    return bool((_wants(one) | set(one.holds)) & (_wants(other) | set(other.holds)))


def _reached(place: int, before: Before) -> frozenset[int]:
    """All that comes before, directly or not."""
    found: set[int] = set()
    waiting = list(before[place])
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += before[one]
    return frozenset(found)


def _circle(one: int, other: int, reached: Mapping[int, frozenset[int]]) -> bool:
    return other in reached[one] and one in reached[other]
