"""What a serving program says itself that it took, in its log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """MiB on one GPU (the fullest): weights, keys and values, what a forward pass needs, and graphs; and how many
    tokens its cache holds. None is not told."""

    weights_mib: int | None = None
    cache_mib: int | None = None
    activation_mib: int | None = None
    graphs_mib: int | None = None
    cache_tokens: int | None = None

    @property
    def is_any(self) -> bool:
        """Something was told."""
        return self.weights_mib is not None or self.cache_mib is not None
