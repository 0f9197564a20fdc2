"""The most memory that a service was seen to hold."""

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
