"""Watches GPUs, engine, Compose files and models, and joins what they say into services."""

import time
from collections.abc import Callable, Mapping

from gputui.controller.watch.compose_watch import ComposeWatch
from gputui.controller.watch.device_probe_watch import InsideWatch
from gputui.controller.watch.engine_watch import EngineWatch
from gputui.controller.watch.gpu_watch import GpuWatch
from gputui.controller.watch.loading_watch import LoadingWatch
from gputui.controller.watch.measured_watch import MeasuredWatch
from gputui.controller.watch.model_watch import ModelWatch
from gputui.controller.watch.reading_history import ReadingHistory
from gputui.domain.assignment import Assignments
from gputui.domain.compose import ComposeProject
from gputui.domain.container import Container
from gputui.domain.gpu import Gpu, GpuInventory, Reading
from gputui.domain.gpu_details import GpuHistory, LinkTraffic
from gputui.domain.injection import Capabilities, HostAccess, MechanismName
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
    """What is seen. `changed` is called by its threads when something may have changed, `told` when more is known of
    the same, and `connected` when the engine answers for the first time."""

    def __init__(
        self,
        gpus: GpuWatch,
        engine: Engine,
        compose: ComposeWatch,
        *,
        host: str,
        named_by_engine: bool,
        path_aliases: Mapping[str, str],
        mechanism: MechanismName | None,
        changed: Callable[[], None],
        told: Callable[[], None],
        connected: Callable[[EngineStatus], None],
    ) -> None:
        self.host = host
        """The host's name."""
        self._is_named = not named_by_engine
        self._connected = connected
        self._aliases = path_aliases
        self._mechanism = mechanism
        self._compose = compose
        self._gpu_watch = gpus
        self._history = ReadingHistory()
        self._engine_watch = EngineWatch(engine, changed, self._learn_host)
        self._models = ModelWatch(told)
        self._inside = InsideWatch(engine, told)
        self._loading = LoadingWatch(engine, told)
        self._measured_watch = MeasuredWatch(engine, told)
        self._peaks: Mapping[PeakKey, int] = {}
        self._measured: Mapping[PeakKey, Measured] = {}
        self._joined = NOTHING_JOINED

    @property
    def faults(self) -> tuple[WatchFault, ...]:
        """What cannot be watched at the moment."""
        watches = (self._engine_watch, self._models, self._inside, self._loading, self._measured_watch)
        return (*self._gpu_watch.faults, *(one.fault for one in watches if one.fault is not None))

    def start(self) -> None:
        """Begin."""
        self._gpu_watch.start()
        self._want_images()
        self._engine_watch.start()
        self._models.start()
        self._inside.start()
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
        self._inside.close()
        self._loading.close()
        self._measured_watch.close()
        self._engine_watch.close()
        self._gpu_watch.close()

    def wait(self, limit_s: float, *, engine: bool) -> None:
        """Wait for the first readings and the engine's first answer."""
        if engine:
            self._engine_watch.first_answer.wait(limit_s)
        self._gpu_watch.wait(limit_s)

    def wait_for_models(self, limit_s: float) -> None:
        """Wait until the models that were asked for are read."""
        self._models.wait(limit_s)

    def rescan(self) -> None:
        """Look for new GPUs and read the Compose files again."""
        self._compose.forget()
        self._models.look_now()
        self._gpu_watch.rescan()
        self._engine_watch.look_now()

    def look_at_engine(self) -> None:
        """List the containers again soon."""
        self._engine_watch.look_now()

    def look_at_files(self) -> None:
        """Read the Compose files again if they changed."""
        self._compose.look()

    @property
    def inventory(self) -> GpuInventory:
        """The GPUs that were found."""
        return self._gpu_watch.inventory()

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs."""
        return self.inventory.gpus

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Their latest readings."""
        return self._gpu_watch.readings()

    def note_readings(self) -> None:
        """Put the latest readings into the history."""
        self._history.add(self.readings)

    def history(self, uuid: str) -> GpuHistory:
        """The past of one GPU."""
        return self._history.of(uuid)

    def traffic(self, uuid: str) -> LinkTraffic | None:
        """What goes over a GPU's links now; it takes a moment to measure."""
        return self._gpu_watch.traffic(uuid)

    @property
    def engine(self) -> EngineStatus:
        """The engine, or why it cannot be reached."""
        return self._engine_watch.status

    @property
    def access(self) -> HostAccess:
        """How GPUs can reach containers here."""
        info = self.engine.info
        return HostAccess(capabilities=info.capabilities if info else Capabilities(), asked=self._mechanism)

    def learn(self, *, nvidia_driver: bool) -> None:
        """Whether the engine has NVIDIA's device driver was found out."""
        self._engine_watch.learn(nvidia_driver=nvidia_driver)

    @property
    def containers(self) -> tuple[Container, ...]:
        """All containers, those without GPUs too."""
        return self._engine_watch.containers

    @property
    def project(self) -> ComposeProject | None:
        """The Compose project."""
        return self._compose.project

    def check_files(self) -> None:
        """The Compose files were read, if there are any.

        Raises:
            Refusal: they could not be.
        """
        self._compose.check_read()

    @property
    def note(self) -> str | None:
        """What is wrong with its files now."""
        return self._compose.note

    def services(self, assignments: Assignments) -> tuple[Service, ...]:
        """The services as they are with these assignments; none before the engine told what the host is called, for
        that is part of their keys."""
        if not self._is_named:
            return ()
        self._want_images()
        world = World(
            host=self.host,
            gpus=self.gpus,
            readings=self.readings,
            containers=self.containers,
            project=self.project,
            path_aliases=self._path_aliases(),
            files=self._models.files(),
            peaks=self._peaks,
            measured=self._measured,
            inside=self._inside.seen(),
            loading=self._loading.seen(),
            images=self._engine_watch.images,
            default_runtime=self.access.capabilities.default_runtime,
            is_engine_known=self.engine.info is not None or bool(self.containers),
        )
        joined = join_services(world, assignments, self._joined)
        self._joined = joined
        return joined.services

    def _want_images(self) -> None:
        """What the images of Compose services set decides what their containers are given."""
        services = self.project.services if self.project else ()
        self._engine_watch.want_images(frozenset(service.image for service in services if service.image))

    def _path_aliases(self) -> Mapping[str, str]:
        return {**(self.project.path_aliases if self.project else {}), **self._aliases}

    def look_at_models(self, services: tuple[Service, ...]) -> Mapping[PeakKey, int]:
        """Have the services' models read; the peaks that are higher than those remembered."""
        self._models.want(wanted_places(services, self._path_aliases()))
        self._measured_watch.want(wanted_measured(services, self.readings, self._measured))
        raised = new_peaks(services, self.readings, self._peaks)
        if raised:
            self._peaks = {**self._peaks, **raised}
        return raised

    def wait_for_measured(self, limit_s: float) -> None:
        """Wait until the logs of services that have loaded are read."""
        self._measured_watch.wait(limit_s)

    def take_measured(self) -> Mapping[PeakKey, Measured]:
        """What services said that they took, since this was last asked for."""
        found = self._measured_watch.take()
        if found:
            self._measured = {**self._measured, **found}
        return found

    def look_inside(self, services: tuple[Service, ...]) -> None:
        """Have the services' containers looked into."""
        self._inside.want(wanted_inside(services))

    def look_at_loading(self, services: tuple[Service, ...]) -> None:
        """Have it read how far services are that start."""
        self._loading.want(wanted_loading(services, time.time()))

    def wait_for_inside(self, limit_s: float) -> None:
        """Wait until the containers that were asked for were looked into."""
        self._inside.wait(limit_s)

    def remember(self, peaks: Mapping[PeakKey, int], measured: Mapping[PeakKey, Measured]) -> None:
        """Take in what was seen before, or by others."""
        own = self._peaks
        self._measured = {**measured, **self._measured}
        self._peaks = {**peaks, **{key: max(mib, peaks.get(key, 0)) for key, mib in own.items()}}
