"""How long a service takes until it serves."""

from gputui.domain.service import Service
from gputui.planning.model_name import weights_by_name

BYTES_PER_S = 250e6
"""At which weights come from a shared disk: 70 billion parameters in 16 bits are then loaded after about ten minutes,
as people see it (ten to fifteen)."""
BESIDES_S = 60.0
"""Imports, compilation and graphs."""
UNKNOWN_S = 60.0


def start_s(service: Service) -> float | None:
    """Seconds until it serves, by the bytes of its weights; None where nothing is known of them."""
    size = service.files.weights_bytes if service.files else None
    if size is None and service.model:
        size = weights_by_name(service.model)
    return None if size is None else BESIDES_S + size / BYTES_PER_S
