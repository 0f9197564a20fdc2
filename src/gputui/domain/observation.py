"""Observations of a service: its peak memory, and the memory reported in its log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeakKey:
    """What a peak applies to: the same image with the same arguments on the same number of GPUs of the same size.
    `arguments` is a digest, so that no secrets are stored."""

    image: str
    arguments: str
    gpus: int
    gpu_total_mib: int

    def is_like(self, other: "PeakKey") -> bool:
        """Whether it is equal except for the size of the GPUs."""
        return (self.image, self.arguments, self.gpus) == (other.image, other.arguments, other.gpus)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The memory in MiB on the fullest GPU: weights, KV cache, activations, and CUDA graphs; and the tokens that the
    cache holds. None: not reported."""

    weights_mib: int | None = None
    cache_mib: int | None = None
    activation_mib: int | None = None
    graphs_mib: int | None = None
    cache_tokens: int | None = None

    @property
    def is_any(self) -> bool:
        """Whether anything was reported."""
        return self.weights_mib is not None or self.cache_mib is not None
