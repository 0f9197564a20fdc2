"""Which observations to remember."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from gputui.domain.container import Container
from gputui.domain.gpu import Reading
from gputui.domain.launch import Launch
from gputui.domain.observation import Measured, PeakKey
from gputui.domain.service import Service
from gputui.domain.text import moment
from gputui.planning.backends.registry import named
from gputui.planning.given_gpus import memory_on
from gputui.planning.needs.serving_address import start_s

SETTLED_AFTER_S = 120.0
"""Seconds after which a running container without a healthcheck counts as loaded."""
NOTABLE_MIB = 64
NOTABLE_PART = 0.01
"""A peak that grew by less is not saved again."""


@lru_cache(maxsize=4096)
def digest(launch: Launch) -> str:
    """A digest of a launch's arguments; variables count as arguments."""
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, for which the first picture must not wait

    mounts = (f"{mount.source}:{mount.target}" for mount in launch.mounts)
    settings = (f"{name}={value}" for name, value in launch.settings)
    text = "\x00".join((*launch.words, "", *settings, "", *mounts))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32] + launch.other_variables


def peak_key(image: str, launch: Launch, gpus: int, total_mib: int | None) -> PeakKey | None:
    """The key of a peak; None if the GPU's size is unknown."""
    return None if total_mib is None or gpus < 1 else PeakKey(image, digest(launch), gpus, total_mib)


def _key_on(image: str, launch: Launch, totals_mib: Sequence[int | None]) -> PeakKey | None:
    """The key of a peak on GPUs of these sizes; None if the sizes differ or are unknown."""
    return peak_key(image, launch, len(totals_mib), totals_mib[0]) if len(set(totals_mib)) == 1 else None


def is_settled(container: Container, now: float, loads_for_s: float | None = None) -> bool:
    """Whether it has finished loading: its healthcheck passes, or it has run long enough without one."""
    if not container.running:
        return False
    if container.has_healthcheck:
        return container.health == "healthy"
    started = moment(container.started_at or "")
    return started is not None and now - started >= max(SETTLED_AFTER_S, loads_for_s or 0.0)


def wanted_measured(
    services: Sequence[Service], readings: Sequence[Reading], recorded: Mapping[PeakKey, Measured]
) -> dict[str, PeakKey]:
    """The runs of loaded containers whose logs were not read yet, and the keys their figures are stored under."""
    keys = {}
    totals = {reading.gpu.uuid: reading.gpu.memory_total_mib for reading in readings}
    for service in services:
        container = service.container
        if container is None or not named(service.backend).reports_memory or not service.running_on:
            continue
        key = _key_on(service.image, container.launch, [totals.get(uuid) for uuid in service.running_on])
        if key is not None and key not in recorded and is_settled(container, readings[0].taken_at, start_s(service)):
            keys[container.run] = key
    return keys


def new_peaks(
    services: Sequence[Service], readings: Sequence[Reading], recorded: Mapping[PeakKey, int]
) -> dict[PeakKey, int]:
    """The peaks that these readings raise, by what each settled service holds on its fullest GPU."""
    raised: dict[PeakKey, int] = {}
    for service in services:
        container = service.container
        if container is None or not service.running_on:
            continue
        used_readings = [
            reading for reading in readings if reading.gpu.uuid in service.running_on and reading.state == "ok"
        ]
        amounts = [memory for reading in used_readings if (memory := memory_on(container, reading)) is not None]
        if (
            not amounts
            or len(amounts) != len(service.running_on)
            or not is_settled(container, used_readings[0].taken_at, start_s(service))
        ):
            continue
        key = _key_on(service.image, container.launch, [reading.gpu.memory_total_mib for reading in used_readings])
        previous = recorded.get(key, 0) if key else 0
        if key is not None and max(amounts) >= previous + max(
            NOTABLE_MIB if previous else 1, int(previous * NOTABLE_PART)
        ):
            raised[key] = max(amounts)
    return raised
