"""A tensor as a file's header describes it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its elements as stored, its bytes, and its dimensions."""

    name: str
    dtype: str
    elements: int
    size: int
    rank: int = 1
