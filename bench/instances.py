"""Random placement problems, and problems whose best answer is known because they were made from it."""

import random

from gputui.planning.placement.problem import Demand, PlacementGpu, Problem, canonical

TOTAL_MIB = 81559


def _slots(rng: random.Random, gpus: int, *, foreign: bool) -> list[PlacementGpu]:
    """GPUs in islands of four (of eight, if there are more than eight), some with other people's memory on them."""
    size = 4 if gpus <= 8 else 8
    used = [rng.choice([0, 0, rng.randrange(500, 24_000)]) if foreign else 0 for _ in range(gpus)]
    return [
        PlacementGpu(
            uuid=f"GPU-{number}",
            headroom_mib=TOTAL_MIB - used[number],
            total_mib=TOTAL_MIB,
            used_mib=used[number],
            kind="H100",
            island=str(number // size),
            order=(f"{number:02}", 0, 0),
        )
        for number in range(gpus)
    ]


def _demand(number: int, count: int, need: int, gpus: int) -> Demand:
    return Demand(name=f"s{number:02}", count=count, needs_mib=(need,) * gpus, group=count > 1)


def random_problem(rng: random.Random, gpus: int, services: int, fill: float) -> Problem:
    """Services with groups of 1, 2 and 4 that together take about `fill` of what is free; it may have no answer."""
    slots = _slots(rng, gpus, foreign=True)
    counts = [rng.choices((1, 2, 4), (6, 2, 1))[0] for _ in range(services)]
    weights = [rng.uniform(0.3, 3.0) for _ in range(services)]
    whole = sum(weight * count for weight, count in zip(weights, counts, strict=True))
    free = sum(slot.headroom_mib for slot in slots) * fill
    largest = max(slot.headroom_mib for slot in slots)
    needs = [min(largest, max(300, int(free * weight / whole))) for weight in weights]
    demands = [_demand(number, counts[number], needs[number], gpus) for number in range(services)]
    return canonical(slots, demands)


def planted_problem(rng: random.Random, gpus: int, services: int) -> Problem:
    """GPUs cut up completely into services, three of them groups: everything fits, and only with every GPU full."""
    slots = _slots(rng, gpus, foreign=True)
    left = [slot.headroom_mib for slot in slots]
    pieces: list[tuple[int, int]] = []
    size = 4 if gpus <= 8 else 8
    for count in (4, 2, 2):
        island = rng.randrange(gpus // size)
        places = rng.sample(range(island * size, (island + 1) * size), count)
        need = rng.randrange(3000, int(min(left[place] for place in places) * 0.6))
        pieces.append((need, count))
        for place in places:
            left[place] -= need
    cuts = [[amount] for amount in left]
    while sum(map(len, cuts)) < services - len(pieces):
        one = rng.choice(cuts)
        largest = one.index(max(one))
        if one[largest] < 4000:
            continue
        part = int(one[largest] * rng.uniform(0.15, 0.85))
        one.append(one[largest] - part)
        one[largest] = part
    pieces += [(need, 1) for one in cuts for need in one]
    demands = [_demand(number, count, need, gpus) for number, (need, count) in enumerate(pieces)]
    rng.shuffle(demands)
    return canonical(slots, demands)
