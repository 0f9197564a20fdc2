"""How good the placement search is, and how long it takes, beside HiGHS and best-fit-decreasing.

    python bench/placement.py [instances per size]

Random instances at several degrees of filling, tight ones among them, against HiGHS with a time limit; and instances
that were made by cutting up full GPUs, whose best objective is therefore known.
"""

import random
import sys
import time
from statistics import median

from bench.instances import planted_problem, random_problem
from bench.solver import Answer
from bench.solver import solve as solve_exactly
from gputui.planning.placement.problem import Placement, Problem
from gputui.planning.placement.strategies import solve

FILLS = (0.5, 0.75, 0.9, 0.97)
TIME_LIMIT_S = 10.0


def best_fit_decreasing(problem: Problem) -> Placement:
    """The usual rule: largest first, each where it leaves least."""
    controller = [one.headroom_mib for one in problem.gpus]
    places: list[tuple[int, ...] | None] = []
    for demand in problem.demands:
        best: tuple[int, tuple[int, ...]] | None = None
        for group in problem.groups(demand, across=False):
            fitting = sorted((controller[at] - (demand.needs_mib[at] or 0), at) for at in group)
            fitting = [one for one in fitting if one[0] >= 0][: demand.count]
            left = sum(amount for amount, _ in fitting)
            if len(fitting) == demand.count and (best is None or left < best[0]):
                best = (left, tuple(sorted(at for _, at in fitting)))
        places.append(best[1] if best else None)
        for at in best[1] if best else ():
            controller[at] -= demand.needs_mib[at] or 0
    return Placement(places=tuple(places))


def _placed(placement: Placement) -> int:
    return sum(places is not None for places in placement.places)


def _crossings(problem: Problem, placement: Placement) -> int:
    pairs = zip(problem.demands, placement.places, strict=True)
    return sum(places is not None and problem.crosses(demand, places) for demand, places in pairs)


def _as_good(problem: Problem, ours: Placement, theirs: Answer) -> bool:
    if _placed(ours) < len(problem.demands):
        return not theirs.feasible
    if not theirs.feasible:
        return True
    crossings = _crossings(problem, ours)
    if crossings != theirs.crossings:
        return crossings < theirs.crossings
    return ours.largest_fraction(problem) <= theirs.largest_fraction * 1.01 + 1e-9


def against_solver(gpus: int, services: int, instances: int) -> None:
    """Random instances: the same objective as HiGHS within 1 %, and feasible wherever it is."""
    times, solver_times = [], []
    good = missed = worse_than_bfd = proved = feasible = unknown = 0
    for number in range(instances):
        rng = random.Random(1000 * gpus + 100 * services + number)
        problem = random_problem(rng, gpus, services, FILLS[number % len(FILLS)])
        began = time.perf_counter()
        ours = solve("balanced", problem)
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
        theirs = solve_exactly(problem, TIME_LIMIT_S)
        solver_times.append(time.perf_counter() - began)
        good += _as_good(problem, ours, theirs)
        feasible += bool(theirs.feasible)
        unknown += theirs.feasible is None
        missed += bool(theirs.feasible) and _placed(ours) < len(problem.demands)
        worse_than_bfd += _placed(ours) < _placed(best_fit_decreasing(problem))
        proved += ours.proved_best
    print(
        f"{gpus:3} × {services:2}  random   as good as HiGHS (1 %): {good}/{instances}; feasible for HiGHS {feasible}, "
        f"not known {unknown}, of these missed {missed}; fewer placed than best fit {worse_than_bfd}; proved {proved}; "
        f"median {median(times) * 1e3:.1f} ms, worst {max(times) * 1e3:.0f} ms "
        f"(HiGHS {median(solver_times) * 1e3:.0f}, {max(solver_times) * 1e3:.0f} ms)",
        flush=True,
    )


def against_planted(gpus: int, services: int, instances: int) -> None:
    """Full GPUs cut into services: everything placed, and the objective that is known."""
    times = []
    placed = close = bfd_placed = worse_than_bfd = 0
    for number in range(instances):
        problem = planted_problem(random.Random(7000 * gpus + 100 * services + number), gpus, services)
        began = time.perf_counter()
        ours = solve("balanced", problem)
        times.append(time.perf_counter() - began)
        whole = _placed(ours) == len(problem.demands) and _crossings(problem, ours) == 0
        placed += whole
        close += whole and ours.largest_fraction(problem) <= 1.02
        bfd = best_fit_decreasing(problem)
        bfd_placed += _placed(bfd) == len(problem.demands)
        worse_than_bfd += _placed(ours) < _placed(bfd)
    print(
        f"{gpus:3} × {services:2}  planted  everything placed {placed}/{instances}, within 2 % {close}/{instances} "
        f"(best fit places everything {bfd_placed}); fewer placed than best fit {worse_than_bfd}; "
        f"median {median(times) * 1e3:.1f} ms, worst {max(times) * 1e3:.0f} ms",
        flush=True,
    )


def main() -> None:
    """All sizes."""
    instances = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    against_solver(8, 8, instances)
    against_solver(8, 16, instances)
    against_planted(16, 20, instances)
    against_planted(16, 30, instances)


if __name__ == "__main__":
    main()
