"""Watches GPUs, engine, Compose files and models, and joins their data into services."""

import time
from collections.abc import Callable, Mapping

from gputui.controller.settings import Settings
from gputui.controller.watch.compose_watch import ComposeWatch
from gputui.controller.watch.device_probe_watch import DeviceProbeWatch
from gputui.controller.watch.engine_watch import EngineWatch
from gputui.controller.watch.gpu_watch import GpuWatch
from gputui.controller.watch.loading_watch import LoadingWatch
from gputui.controller.watch.measured_watch import MeasuredWatch
from gputui.controller.watch.model_watch import ModelWatch
from gputui.controller.watch.reading_history import ReadingHistory
from gputui.domain.assignment import Assignments
from gputui.domain.gpu import Gpu
from gputui.domain.injection import Capabilities, HostAccess
from gputui.domain.observation import Measured, PeakKey
from gputui.domain.service import Service
from gputui.domain.snapshot import EngineStatus
from gputui.domain.unexpected import WatchFault
from gputui.engine.protocol import Engine
from gputui.planning.needs.observations import new_peaks, wanted_measured
from gputui.planning.services import (
    NOTHING_JOINED,
    World,
    join_services,
    wanted_inside,
    wanted_loading,
    wanted_places,
)


class Sampler:
    """The watches, and the services that their data is joined into. Listeners are called from its threads."""

    def __init__(self, gpus: GpuWatch, engine: Engine, compose: ComposeWatch, settings: Settings) -> None:
        self.host = settings.host
        """The host's name."""
        self._is_named = not settings.named_by_engine
        self._aliases = settings.path_aliases
        self._mechanism = settings.mechanism
        self._changed: Callable[[], None] = _nothing
        self._learned: Callable[[], None] = _nothing
        self._connected: Callable[[EngineStatus], None] = _nothing
        self.gpu_watch = gpus
        self.compose_watch = compose
        self.engine_watch = EngineWatch(engine, self.note_change, self._learn_host)
        self.history = ReadingHistory()
        self._models = ModelWatch(self._note_more)
        self._device_probes = DeviceProbeWatch(engine, self._note_more)
        self._loading = LoadingWatch(engine, self._note_more)
        self._measured_watch = MeasuredWatch(engine, self._note_more)
        self._peaks: Mapping[PeakKey, int] = {}
        self._measured: Mapping[PeakKey, Measured] = {}
        self._joined = NOTHING_JOINED

    def listen(
        self,
        *,
        changed: Callable[[], None],
        learned: Callable[[], None],
        connected: Callable[[EngineStatus], None],
    ) -> None:
        """Call `changed` when something may have changed, `learned` when more is known about it, and `connected` when
        the engine answers for the first time."""
        self._changed, self._learned, self._connected = changed, learned, connected

    def note_change(self) -> None:
        """Something may have changed."""
        self._changed()

    def _note_more(self) -> None:
        self._learned()

    @property
    def faults(self) -> tuple[WatchFault, ...]:
        """What currently cannot be watched."""
        watches = (self.engine_watch, self._models, self._device_probes, self._loading, self._measured_watch)
        return (*self.gpu_watch.faults, *(watch.fault for watch in watches if watch.fault is not None))

    def start(self) -> None:
        """Begin."""
        self.gpu_watch.start()
        self._want_images()
        self.engine_watch.start()
        self._models.start()
        self._device_probes.start()
        self._loading.start()
        self._measured_watch.start()

    def _learn_host(self, status: EngineStatus) -> None:
        if not self._is_named and status.info is not None:
            self.host = status.info.hostname or self.host
            self._is_named = True
        self._connected(status)

    def close(self) -> None:
        """Stop."""
        self._models.close()
        self._device_probes.close()
        self._loading.close()
        self._measured_watch.close()
        self.engine_watch.close()
        self.gpu_watch.close()

    def wait(self, limit_s: float, *, engine: bool) -> None:
        """Wait for the first readings and the engine's first answer."""
        if engine:
            self.engine_watch.first_answer.wait(limit_s)
        self.gpu_watch.wait(limit_s)

    def wait_for_models(self, limit_s: float) -> None:
        """Wait until the requested models are read."""
        self._models.wait(limit_s)

    def rescan(self) -> None:
        """Look for new GPUs and read the Compose files again."""
        self.compose_watch.forget()
        self._models.look_now()
        self.gpu_watch.rescan()
        self.engine_watch.look_now()

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs."""
        return self.gpu_watch.inventory().gpus

    @property
    def access(self) -> HostAccess:
        """How GPUs can reach containers here."""
        info = self.engine_watch.status.info
        return HostAccess(capabilities=info.capabilities if info else Capabilities(), asked=self._mechanism)

    def services(self, assignments: Assignments) -> tuple[Service, ...]:
        """The services with these assignments; none before the engine has reported the host's name, because that is
        part of their keys."""
        if not self._is_named:
            return ()
        self._want_images()
        world = World(
            host=self.host,
            gpus=self.gpus,
            readings=self.gpu_watch.readings(),
            containers=self.engine_watch.containers,
            project=self.compose_watch.project,
            path_aliases=self._path_aliases(),
            files=self._models.files(),
            peaks=self._peaks,
            measured=self._measured,
            inside=self._device_probes.seen(),
            loading=self._loading.seen(),
            images=self.engine_watch.images,
            default_runtime=self.access.capabilities.default_runtime,
            is_engine_known=self.engine_watch.status.info is not None or bool(self.engine_watch.containers),
        )
        joined = join_services(world, assignments, self._joined)
        self._joined = joined
        return joined.services

    def _want_images(self) -> None:
        """Request the images of Compose services: their environment decides which GPUs their containers get."""
        services = self.compose_watch.project.services if self.compose_watch.project else ()
        self.engine_watch.want_images(frozenset(service.image for service in services if service.image))

    def _path_aliases(self) -> Mapping[str, str]:
        return {**(self.compose_watch.project.path_aliases if self.compose_watch.project else {}), **self._aliases}

    def look_at_models(self, services: tuple[Service, ...]) -> Mapping[PeakKey, int]:
        """Have the services' models read; returns the peaks that are higher than the recorded ones."""
        self._models.want(wanted_places(services, self._path_aliases()))
        self._measured_watch.want(wanted_measured(services, self.gpu_watch.readings(), self._measured))
        raised = new_peaks(services, self.gpu_watch.readings(), self._peaks)
        if raised:
            self._peaks = {**self._peaks, **raised}
        return raised

    def wait_for_measured(self, limit_s: float) -> None:
        """Wait until the logs of services that have loaded are read."""
        self._measured_watch.wait(limit_s)

    def take_measured(self) -> Mapping[PeakKey, Measured]:
        """The memory use that services reported since the last call."""
        measured = self._measured_watch.take()
        if measured:
            self._measured = {**self._measured, **measured}
        return measured

    def probe_devices(self, services: tuple[Service, ...]) -> None:
        """Have the devices in the services' containers probed."""
        self._device_probes.want(wanted_inside(services))

    def look_at_loading(self, services: tuple[Service, ...]) -> None:
        """Have the progress of starting services read."""
        self._loading.want(wanted_loading(services, time.time()))

    def wait_for_probes(self, limit_s: float) -> None:
        """Wait until the requested containers were probed."""
        self._device_probes.wait(limit_s)

    def remember(self, peaks: Mapping[PeakKey, int], measured: Mapping[PeakKey, Measured]) -> None:
        """Merge observations made earlier or by others."""
        own_peaks = self._peaks
        self._measured = {**measured, **self._measured}
        self._peaks = {**peaks, **{key: max(mib, peaks.get(key, 0)) for key, mib in own_peaks.items()}}


def _nothing(*_: object) -> None:
    """The listener until one is set."""
