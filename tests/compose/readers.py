"""The two readers that gputui has. What changes in their interface changes here only.

Left out of both are what builds images or is no container of the engine's (`build`, `develop`, `provider`), which
gputui does not read; of ours what Compose leaves out of its output and gputui needs: extensions (`x-…`) below the
top, and requests for 0 GPUs. A port that Compose prints twice counts once.
"""

from typing import Any

import pytest

from gputui.compose import reading
from gputui.compose.ports import unique_ports
from tests.compose.corpus import Laid

NOT_READ = ("build", "develop", "provider")


def own(laid: Laid, project: str | None = None) -> dict[str, Any]:
    """A set as gputui reads it by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", laid.environment["HOME"])
        patch.chdir(laid.folder)
        found = reading.read_own(laid.files, project, laid.environment, is_named=not laid.is_found)
    return compared(found)


def asked(laid: Laid, project: str | None = None) -> dict[str, Any] | str | None:
    """The same from `docker compose`, through gputui."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(laid.folder)
        found = reading.read_docker_compose(laid.files, project, laid.environment, is_named=not laid.is_found)
    return compared(found) if isinstance(found, dict) else found


def compared(found: dict[str, Any]) -> dict[str, Any]:
    """A reading without what is left out."""
    services = {}
    for name, service in found["services"].items():
        kept = {key: _plain(value) for key, value in service.items() if key not in NOT_READ}
        services[name] = {key: value for key, value in kept.items() if not key.startswith("x-")}
        if "ports" in kept:
            services[name]["ports"] = unique_ports(kept["ports"])
    return {**found, "services": services}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _plain(one) for key, one in value.items() if not key.startswith("x-")}
        return {key: one for key, one in inner.items() if not (key == "count" and one == 0)}
    return [_plain(one) for one in value] if isinstance(value, list) else value
