"""The GPUs that a Compose service requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gputui.compose.document import Place
from gputui.compose.extension import Extension
from gputui.compose.gpu_requests import is_cdi_gpu, requested_devices
from gputui.compose.writers import NVIDIA_DRIVERS
from gputui.domain.container import asks_for_gpus
from gputui.domain.gpu import GPU_NODE_PATH, out_of_runs
from gputui.domain.gpu_variables import Contradiction, variables_against
from gputui.domain.injection import CDI_KIND, MechanismName
from gputui.domain.text import clean
from gputui.domain.units import parse_size


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuWish:
    """The GPUs by name, else their number. `by_image`: the nvidia runtime injects what the image's own variable says.
    `capabilities`: driver capabilities requested beside `gpu`. `requests`: the number of GPU requests, of which the
    engine's driver applies only the last."""

    gpus: tuple[str, ...] = ()
    count: int | None = None
    by_image: bool = False
    capabilities: tuple[str, ...] = ()
    requests: int = 0

    @property
    def is_any(self) -> bool:
        """Whether it requests any GPUs."""
        return bool(self.gpus) or self.count is not None or self.by_image


def gpu_wish(entry: Mapping[str, Any], extension: Extension, place: Place) -> GpuWish:
    """The service's request: from x-gputui, else `gpus:` and the reservation, else its devices or its variable.

    Raises:
        UsageError: a GPU is named twice.
    """
    requests = _nvidia_requests(entry)
    capabilities = _capabilities(requests)
    if extension.gpus is not None:
        gpu_names = extension.gpus if isinstance(extension.gpus, list) else out_of_runs(str(extension.gpus))
        gpus_place = place.of(entry, "x-gputui").of(entry["x-gputui"], "gpus")
        return GpuWish(
            gpus=_unique_names([str(name).strip() for name in gpu_names], gpus_place), capabilities=capabilities
        )
    if requests:
        # The daemon appends a variable for each request, and the hook applies the last one.
        request = requests[-1]
        request_place = place.of(entry, "gpus" if entry.get("gpus") else "deploy")
        ids, count = request.get("device_ids"), request.get("count")
        wish: dict[str, Any] = {"capabilities": capabilities, "requests": len(requests)}
        if ids:
            names = [part.strip() for name in ids for part in str(name).split(",")]
            return GpuWish(gpus=_unique_names(names, request_place), **wish)
        return GpuWish(gpus=("all",), **wish) if count in (None, -1) else GpuWish(count=count, **wish)
    by_cdi = [str(device["source"]) for device in entry.get("devices") or [] if is_cdi_gpu(str(device["source"]))]
    nodes = [
        str(device["source"]) for device in entry.get("devices") or [] if GPU_NODE_PATH.match(str(device["source"]))
    ]
    if by_cdi or nodes:
        return GpuWish(gpus=_unique_names([*by_cdi, *nodes], place.of(entry, "devices")))
    if entry.get("runtime") == "nvidia":
        variable = (entry.get("environment") or {}).get("NVIDIA_VISIBLE_DEVICES")
        return GpuWish(by_image=True) if variable is None else GpuWish(gpus=_visible(variable))
    return GpuWish()


def _nvidia_requests(entry: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """In Compose's order: those of the reservation, then those of `gpus:`."""
    gpu_requests = [request for request in entry.get("gpus") or [] if (request.get("driver") or "") in NVIDIA_DRIVERS]
    return [*(request for request in _reserved(entry) if _asks_for_gpus(request)), *gpu_requests]


def _reserved(entry: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return requested_devices(entry.get("deploy"))


def _asks_for_gpus(request: Mapping[str, Any]) -> bool:
    names = [str(name) for name in request.get("device_ids") or []]
    return asks_for_gpus(str(request.get("driver") or ""), [request.get("capabilities") or []], names)


def _capabilities(requests: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    names = [str(name) for request in requests[-1:] for name in request.get("capabilities") or []]
    return tuple(dict.fromkeys(clean(name, 40) for name in names if name not in ("gpu", "nvidia")))


def _visible(value: str) -> tuple[str, ...]:
    """The GPUs in NVIDIA_VISIBLE_DEVICES, which decides for `runtime: nvidia` without a request."""
    parts = [part.strip().removeprefix(f"{CDI_KIND}=") for part in value.split(",")]
    return tuple(clean(part, 120) for part in parts if part not in ("", "none", "void"))


def _unique_names(names: Sequence[str], place: Place) -> tuple[str, ...]:
    gpu_names = tuple(clean(name, 120).removeprefix(f"{CDI_KIND}=") for name in names if name not in ("", "none"))
    if len(set(gpu_names)) != len(gpu_names):
        raise place.refuses("the same GPU is named twice", "name each GPU once")
    return gpu_names


def written_mechanism(entry: Mapping[str, Any]) -> MechanismName | None:
    """The GPU injection method that standard Compose keys ask for."""
    drivers = {str(request.get("driver") or "") for request in (*(entry.get("gpus") or []), *_reserved(entry))}
    by_cdi = any(is_cdi_gpu(str(device["source"])) for device in entry.get("devices") or [])
    if "cdi" in drivers or (not drivers and by_cdi):
        return "cdi"
    return "runtime" if not drivers and entry.get("runtime") == "nvidia" else None


def vram_of(entry: Mapping[str, Any], extension: Extension, place: Place) -> int | None:
    """The memory that the service needs on each GPU, in MiB, if the file declares it.

    Raises:
        UsageError: the value is not a size.
    """
    if extension.vram is not None:
        vram_place = place.of(entry, "x-gputui").of(entry["x-gputui"], "vram")
        return parse_size(str(extension.vram), where=str(vram_place))
    for request in (*(entry.get("gpus") or []), *_reserved(entry)):
        size = (request.get("options") or {}).get("vram")
        if size is not None:
            return parse_size(str(size), where=f"{place.of(entry, 'deploy')}: options: vram")
    return None


def contradiction(entry: Mapping[str, Any], wish: GpuWish, place: Place) -> Contradiction | None:
    """Contradicting statements in the file about a service's GPUs, with the line."""
    environment = entry.get("environment") or {}
    variables = {name: value for name, value in environment.items() if value is not None}
    conflict = variables_against(variables, wish.gpus, wish.count)
    if conflict is not None:
        return replace(conflict, text=f"{place.of(entry, 'environment')}: {conflict.text}")
    if wish.requests > 1:
        key_place = place.of(entry, "deploy" if _reserved(entry) else "gpus")
        counts = clean(",".join(wish.gpus) or f"{wish.count} of them", 60)
        text = f"{key_place}: of {wish.requests} requests for GPUs the last one counts ({counts})"
        return Contradiction("several-requests", text)
    return None
