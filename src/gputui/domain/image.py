"""What is known of an image."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The names of the variables that an image sets, and what it says in NVIDIA_VISIBLE_DEVICES, if anything."""

    variables: frozenset[str]
    visible_devices: str | None = None
