"""What was observed of a service: the most memory that it held, and what its log says that it took."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeakKey:
    """What a peak holds for: the same image with the same arguments on as many GPUs of the same size. `arguments` is a
    digest, so that no secret is kept."""

    image: str
    arguments: str
    gpus: int
    gpu_total_mib: int

    def is_like(self, other: "PeakKey") -> bool:
        """The same but for the size of the GPUs."""
        return (self.image, self.arguments, self.gpus) == (other.image, other.arguments, other.gpus)


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
