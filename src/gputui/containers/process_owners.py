"""Whose the processes of a host are, by what its engine says."""

from gputui.containers.engine import Engine
from gputui.domain.errors import GputuiError


def owners_of_pids(engine: Engine) -> dict[int, str]:
    """The containers of all host pids that the engine knows of."""
    found: dict[int, str] = {}
    try:
        for container in engine.containers():
            if container.running:
                found |= dict.fromkeys(engine.pids(container.id) or (), container.id)
    except GputuiError:
        return found  # what went away meanwhile holds nothing
    return found
