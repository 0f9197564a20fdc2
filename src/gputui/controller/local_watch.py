"""The current state of this server: what the watches observe and what is saved, as a series of snapshots."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from gputui.controller.local_draft import LocalDraft
from gputui.controller.saved_state import SavedState
from gputui.controller.settings import Settings
from gputui.controller.watch.sampler import Sampler
from gputui.domain.errors import GputuiError, Refusal, UsageError
from gputui.domain.finding import Check
from gputui.domain.gpu import ProcessSignal
from gputui.domain.gpu_details import GpuHistory, LinkTraffic
from gputui.domain.injection import Choice, MechanismName
from gputui.domain.message import Message
from gputui.domain.service import Service, ServiceKey
from gputui.domain.snapshot import Snapshot
from gputui.domain.unexpected import WatchFault, place_of
from gputui.gpus.processes import send_signal
from gputui.planning.changes.injection_choice import default_choice
from gputui.planning.findings.find_all import find_all
from gputui.planning.memory_shares import memory_of_all

_log = logging.getLogger(__name__)


LOGS_LIMIT_S = 2.0
"""How long a verb waits for the logs of services that have loaded since the last look."""


class LocalWatch:
    """Implements `Watch` over a sampler, the draft and the saved state."""

    def __init__(self, sampler: Sampler, draft: LocalDraft, saved: SavedState, settings: Settings) -> None:
        self._sampler = sampler
        self._draft = draft
        self._saved = saved
        self._settings = settings
        self._started = False
        self._listeners: list[Callable[[Snapshot], None]] = []
        self._note: Message | None = None
        self._fault: WatchFault | None = None
        self._last: Snapshot | None = None
        draft.on_edit(self._tell)
        sampler.listen(changed=self._changed, learned=self._tell, connected=saved.connected)

    def start(self) -> None:
        """Begin to watch; a second call does nothing."""
        if not self._started:
            self._started = True
            self._sampler.start()

    def wait(self, limit_s: float, *, engine: bool = True) -> Snapshot:
        """Wait for the first readings and the engine's first answer."""
        self._sampler.wait(limit_s, engine=engine)
        self._sampler.look_at_models(self.snapshot().services)
        self._sampler.wait_for_models(limit_s)
        self._sampler.wait_for_measured(min(limit_s, LOGS_LIMIT_S))
        self._learn()
        return self.snapshot()

    def _learn(self) -> bool:
        """Record the memory use that services reported; whether there was anything new."""
        measured = self._sampler.take_measured()
        if measured:
            self._saved.remember_measured(measured)
        return bool(measured)

    def probe_devices(self, limit_s: float) -> None:
        """Wait until the devices in the containers of adopted services were probed."""
        if not self._settings.readonly:
            self._sampler.probe_devices(self.snapshot().services)
            self._sampler.wait_for_probes(limit_s)

    def close(self) -> None:
        """Stop watching."""
        self._sampler.close()

    def _changed(self) -> None:
        """Called by the watching threads, which must survive errors in files, in the state, and in gputui itself."""
        snapshot: Snapshot | None = None
        sampler = self._sampler
        try:
            sampler.history.add(sampler.gpu_watch.readings())
            if self._started:
                sampler.compose_watch.look()
            self._saved.look()
            snapshot = self.snapshot()
            applying = snapshot.apply is not None and snapshot.apply.under_way
            # It takes a process in each container, which is too much for a mere listing or while waiting for an apply.
            if self._listeners and not applying and not self._settings.readonly:
                sampler.probe_devices(snapshot.services)
            if self._listeners:
                sampler.look_at_loading(snapshot.services)
            raised = sampler.look_at_models(snapshot.services)
            if raised:
                self._saved.remember(dict(raised))
            if self._learn() or raised:
                snapshot = None  # more is known now
        except GputuiError as error:
            self._note, snapshot = Message.of_text(error.what), None
        except Exception as error:
            self._note_fault(error)
            snapshot = self._stale()
        else:
            self._note = self._fault = None
        self._tell(snapshot)

    def _note_fault(self, error: Exception) -> None:
        since = self._fault.since if self._fault else time.time()
        if self._fault is None:  # repeating it every second would flood the log
            _log.error("no new snapshot can be made", exc_info=error)
        self._fault = WatchFault("services", since, place_of(error))

    def _stale(self) -> Snapshot | None:
        """The last snapshot, with current readings and a note that the rest is out of date."""
        if self._last is None:
            return None
        gpus = self._sampler.gpu_watch
        return replace(
            self._last,
            inventory=gpus.inventory(),
            readings=gpus.readings(),
            engine=self._sampler.engine_watch.status,
            watch_faults=self._watch_faults(),
        )

    def _tell(self, snapshot: Snapshot | None = None) -> None:
        """Send the current snapshot, which the caller may already have built, to the listeners."""
        if not self._listeners:
            return
        try:
            snapshot = snapshot or self.snapshot()
        except Exception as error:
            self._note_fault(error)
            snapshot = self._stale()
        if snapshot is not None:
            for listener in self._listeners:
                listener(snapshot)

    def _watch_faults(self) -> tuple[WatchFault, ...]:
        own_faults = (self._fault,) if self._fault else ()
        return (*own_faults, *self._sampler.faults)

    def on_change(self, listener: Callable[[Snapshot], None]) -> None:
        """Call the listener with every new snapshot."""
        self._listeners.append(listener)

    def rescan(self) -> None:
        """Look for new GPUs and read the Compose files again."""
        self._sampler.rescan()

    def snapshot(self) -> Snapshot:
        """The current state, with the draft as edited."""
        sampler, saved, draft = self._sampler, self._saved, self._draft.value
        inventory, readings = sampler.gpu_watch.inventory(), sampler.gpu_watch.readings()
        engine, project = sampler.engine_watch.status, sampler.compose_watch.project
        services = sampler.services(draft.current)
        memory = memory_of_all(readings, services)
        faults = self._watch_faults()
        compose_note = sampler.compose_watch.note
        compose_notes = () if compose_note is None else (Message.of_text(compose_note),)
        own_notes = () if self._note is None else (self._note,)
        fault_notes = (Message.of_text(fault.text) for fault in faults)
        snapshot = Snapshot(
            host=sampler.host,
            taken_at=time.time(),
            inventory=inventory,
            readings=readings,
            memory=memory,
            engine=engine,
            services=services,
            draft=draft,
            findings=find_all(
                services,
                inventory.gpus,
                readings,
                memory,
                sampler.engine_watch.containers,
                saved.apply,
                draft.saved.reason,
                sampler.access,
                saved.failures,
            ),
            apply=saved.apply,
            operator=self._settings.operator,
            project=project.name if project else "",
            notes=(*compose_notes, *saved.notes, *own_notes, *fault_notes),
            compose_note=compose_note,
            simulated=self._settings.simulated,
            mechanism=self._mechanism(),
            watch_faults=faults,
        )
        self._last = snapshot
        return snapshot

    def gpu_history(self, uuid: str) -> GpuHistory:
        """The last ten minutes of one GPU."""
        return self._sampler.history.of(uuid)

    def traffic(self, uuid: str) -> LinkTraffic | None:
        """The current traffic over a GPU's links."""
        return self._sampler.gpu_watch.traffic(uuid)

    def _mechanism(self) -> MechanismName | None:
        if self._sampler.engine_watch.status.info is None:
            return None
        try:
            return default_choice(self._sampler.access).mechanism
        except GputuiError:
            return None

    def doctor(self) -> tuple[Check, ...]:
        """Check everything that a container's GPU depends on."""
        from gputui.diagnosis.doctor import checks  # noqa: PLC0415

        if not self._settings.readonly:
            with suppress(GputuiError):  # then it is reported as unknown
                self._sampler.engine_watch.find_out_driver()
        try:
            choice: Choice | GputuiError = default_choice(self._sampler.access)
        except GputuiError as error:
            choice = error
        return checks(self.snapshot(), choice)

    def signal(self, pid: int, start_time: int | None, name: ProcessSignal) -> None:
        """Send a signal to a process on a GPU."""
        self._settings.check_writable()
        if self._settings.simulated:
            raise Refusal("simulated processes take no signals", "leave --demo")
        send_signal(pid, start_time, name)

    def shell_command(self, key: ServiceKey) -> tuple[str, ...]:
        """The command line that opens a shell in this service's container."""
        self._settings.check_writable()
        container = self.service(key).container
        if container is None or not container.running:
            raise Refusal(f"{key.name} does not run, so there is no shell in it", "start it first")
        return self._sampler.engine_watch.engine.shell_command(container.id)

    def service(self, key: ServiceKey) -> Service:
        """The service with this key.

        Raises:
            UsageError: there is none.
        """
        service = next((service for service in self.snapshot().services if service.key == key), None)
        if service is None:
            raise UsageError(f"there is no service {key.name}", "see `gputui services`")
        return service
