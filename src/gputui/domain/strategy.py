"""The placement strategies by name."""

from typing import Literal

StrategyName = Literal["manual", "vram", "latency", "isolation", "balanced"]

STRATEGIES: dict[StrategyName, str] = {
    "manual": "as it is assigned now",
    "vram": "the largest services on the GPUs with most free memory",
    "latency": "by priority on the fastest GPUs",
    "isolation": "protected services alone on the smallest GPUs that hold them",
    "balanced": "the evenest use of memory",
}
"""A description of each strategy."""
