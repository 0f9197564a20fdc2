"""The balanced strategy's objective as a mixed-integer program, for HiGHS."""

from dataclasses import dataclass
from typing import Any

import highspy

from gputui.planning.placement.problem import Problem

CROSSING = 100.0
"""What a group across islands costs: more than any fraction can make up for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the solver found within its time: whether everything can be placed (None: not known), and how well."""

    feasible: bool | None
    crossings: int = 0
    largest_fraction: float = 1.0
    optimal: bool = False


def solve(problem: Problem, time_limit_s: float) -> Answer:
    """Place everything with as few groups across islands as possible, then with the least largest fraction."""
    solver: Any = highspy.Highs()  # type: ignore[no-untyped-call]
    solver.silent()
    solver.setOptionValue("time_limit", time_limit_s)
    solver.setOptionValue("threads", 1)
    solver.setOptionValue("mip_rel_gap", 1e-4)
    fullest = solver.addVariable(lb=0.0, ub=1.0)
    crossings: list[Any] = []
    at: list[list[Any]] = []
    for demand in problem.demands:
        row = [solver.addBinary() if need is not None else None for need in demand.needs_mib]
        at.append(row)
        solver.addConstr(sum(one for one in row if one is not None) == demand.count)
        if demand.count > 1 and demand.group:
            across = solver.addBinary()
            crossings.append(across)
            islands = [(solver.addBinary(), island) for island in problem.islands]
            solver.addConstr(sum(chosen for chosen, _ in islands) + across == 1)
            for chosen, island in islands:
                for place in island:
                    if row[place] is not None:
                        solver.addConstr(row[place] <= chosen + across)
    for place, gpu in enumerate(problem.gpus):
        needs = [
            (row[place], demand.needs_mib[place] or 0)
            for row, demand in zip(at, problem.demands, strict=True)
            if row[place] is not None
        ]
        load: Any = sum(need * one for one, need in needs)
        solver.addConstr(load <= gpu.headroom_mib)
        solver.addConstr(load + gpu.used_mib <= gpu.total_mib * fullest)
    solver.minimize(fullest + CROSSING * sum(crossings) if crossings else fullest)
    status = solver.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        return Answer(feasible=False)
    info = solver.getInfo()
    if info.primal_solution_status != highspy.SolutionStatus.kSolutionStatusFeasible:
        return Answer(feasible=None)
    values = solver.getSolution().col_value
    number = round(sum(values[one.index] for one in crossings))
    return Answer(
        feasible=True,
        crossings=number,
        largest_fraction=values[fullest.index],
        optimal=status == highspy.HighsModelStatus.kOptimal,
    )
