"""The control room of this machine.

What only acts is imported when somebody acts: the first picture must not wait for it.
"""

import logging
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gputui.controller.drafting import Drafting
from gputui.controller.log_feeds import LogFeeds
from gputui.controller.saving import Saving
from gputui.controller.settings import Settings
from gputui.controller.watch.compose_watch import ComposeWatch
from gputui.controller.watch.gpu_watch import GpuWatch
from gputui.controller.watch.sampler import Sampler
from gputui.domain.assignment import Assignments
from gputui.domain.compose import FileEdit, NewService
from gputui.domain.errors import EngineError, GputuiError, Refusal, UsageError
from gputui.domain.event import FALLBACK, ApplyEvent, ApplyRecord, Finish
from gputui.domain.finding import Check
from gputui.domain.gpu import ProcessSignal
from gputui.domain.gpu_details import GpuHistory, LinkTraffic
from gputui.domain.injection import Choice, MechanismName
from gputui.domain.log import LogBatch, LogLine, LogWindow
from gputui.domain.memory import GpuRoom
from gputui.domain.plan import Plan
from gputui.domain.retention import Removed, Retention
from gputui.domain.service import Fallback, Service, ServiceKey, TypedEdit
from gputui.domain.snapshot import EngineStatus, Snapshot
from gputui.domain.strategy import StrategyName
from gputui.domain.suggestion import Suggestion
from gputui.domain.text import clean_log_line
from gputui.domain.unexpected import WatchFault, place_of
from gputui.engine.protocol import Engine
from gputui.gpus.processes import send_signal
from gputui.planning.changes.injection_choice import default_choice
from gputui.planning.findings.find_all import find_all
from gputui.planning.memory_shares import memory_of_all

if TYPE_CHECKING:
    from gputui.controller.applying import Applying
    from gputui.controller.gpu_fallback import Replacement
    from gputui.controller.new_services import NewServices

_log = logging.getLogger(__name__)


LOGS_LIMIT_S = 2.0
"""How long a verb waits for the logs of services that have loaded since anybody looked."""


class LocalControlRoom:
    """Implements `ControlRoom` over a watch of the GPUs, which may have begun, an engine and a Compose project."""

    def __init__(self, gpus: GpuWatch, engine: Engine, compose: ComposeWatch, settings: Settings) -> None:
        self._settings = settings
        self._engine = engine
        self._started = False
        self._listeners: list[Callable[[Snapshot], None]] = []
        self._note: str | None = None
        self._fault: WatchFault | None = None
        self._last: Snapshot | None = None
        self._sampler = Sampler(
            gpus,
            engine,
            compose,
            host=settings.host,
            named_by_engine=settings.named_by_engine,
            path_aliases=settings.path_aliases,
            mechanism=settings.mechanism,
            changed=self._changed,
            told=self._tell,
            connected=self._connected,
        )
        self._drafting = Drafting(self._sampler, settings, self._tell)
        self._saving = Saving(self._sampler, self._drafting, settings)
        self._logs = LogFeeds(engine)
        gpus.on_change(self._changed)  # now that all is there: the watch may have begun

    @cached_property
    def _applying(self) -> "Applying":
        from gputui.controller.applying import Applying  # noqa: PLC0415

        return Applying(self._engine, self._sampler, self._settings, self._saving.opened)

    @cached_property
    def _new_services(self) -> "NewServices":
        from gputui.controller.new_services import NewServices  # noqa: PLC0415

        return NewServices(self._engine, self._sampler, self._settings)

    # --- watching -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch; no second time."""
        if not self._started:
            self._started = True
            self._sampler.start()

    def wait_until_seen(self, limit_s: float, *, engine: bool = True) -> Snapshot:
        """Wait for the first readings and the engine's first answer."""
        self._sampler.wait(limit_s, engine=engine)
        self._sampler.look_at_models(self.snapshot().services)
        self._sampler.wait_for_models(limit_s)
        self._sampler.wait_for_measured(min(limit_s, LOGS_LIMIT_S))
        self._learn()
        return self.snapshot()

    def _learn(self) -> bool:
        """Write down what services said that they took; whether there was anything new."""
        measured = self._sampler.take_measured()
        if measured:
            self._saving.remember_measured(measured)
        return bool(measured)

    def look_inside(self, limit_s: float) -> None:
        """Wait until the containers of adopted services were looked into."""
        if not self._settings.readonly:
            self._sampler.look_inside(self.snapshot().services)
            self._sampler.wait_for_inside(limit_s)

    def close(self) -> None:
        """Stop watching."""
        self._logs.close_all()
        self._sampler.close()

    def _connected(self, status: EngineStatus) -> None:
        self._saving.connected(status)

    def _changed(self) -> None:
        """Called by the watching threads, which must go on whatever a file, the state or a defect brings."""
        snapshot: Snapshot | None = None
        try:
            self._sampler.note_readings()
            if self._started:
                self._sampler.look_at_files()
            self._saving.look()
            snapshot = self.snapshot()
            applying = snapshot.apply is not None and snapshot.apply.under_way
            # It takes a process in each container: nobody asked for that who only lists, or waits for an apply.
            if self._listeners and not applying and not self._settings.readonly:
                self._sampler.look_inside(snapshot.services)
            if self._listeners:
                self._sampler.look_at_loading(snapshot.services)
            raised = self._sampler.look_at_models(snapshot.services)
            if raised:
                self._saving.remember(dict(raised))
            if self._learn() or raised:
                snapshot = None  # more is known now
        except GputuiError as error:
            self._note, snapshot = error.what, None
        except Exception as error:
            self._note_fault(error)
            snapshot = self._stale()
        else:
            self._note = self._fault = None
        self._tell(snapshot)

    def _note_fault(self, error: Exception) -> None:
        since = self._fault.since if self._fault else time.time()
        if self._fault is None:  # the same every second would drown what else there is
            _log.error("no new snapshot can be made", exc_info=error)
        self._fault = WatchFault("services", since, place_of(error))

    def _stale(self) -> Snapshot | None:
        """What was known last, with what can still be told: the readings, and that the rest is old."""
        if self._last is None:
            return None
        sampler = self._sampler
        return replace(
            self._last,
            inventory=sampler.inventory,
            readings=sampler.readings,
            engine=sampler.engine,
            watch_faults=self._watch_faults(),
        )

    def _tell(self, snapshot: Snapshot | None = None) -> None:
        """Tell the listeners what is known now, which may just have been put together."""
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
        own = (self._fault,) if self._fault else ()
        return (*own, *self._sampler.faults)

    def on_change(self, listener: Callable[[Snapshot], None]) -> None:
        """Call the listener with every new snapshot."""
        self._listeners.append(listener)

    def rescan(self) -> None:
        """Look for new GPUs and read the Compose files again."""
        self._sampler.rescan()

    def snapshot(self) -> Snapshot:
        """What is known now, with the draft as edited."""
        sampler, draft = self._sampler, self._drafting.draft
        readings = sampler.readings
        services = sampler.services(draft.current)
        memory = memory_of_all(readings, services)
        last = self._saving.apply
        faults = self._watch_faults()
        notes = (sampler.note, *self._saving.notes, self._note, *(fault.text for fault in faults))
        snapshot = Snapshot(
            host=self._sampler.host,
            taken_at=time.time(),
            inventory=sampler.inventory,
            readings=readings,
            memory=memory,
            engine=sampler.engine,
            services=services,
            draft=draft,
            findings=find_all(
                services,
                sampler.gpus,
                readings,
                memory,
                sampler.containers,
                last,
                draft.saved.reason,
                sampler.access,
                self._saving.failures,
            ),
            apply=last,
            operator=self._settings.operator,
            project=sampler.project.name if sampler.project else "",
            notes=tuple(note for note in notes if note),
            compose_note=sampler.note,
            simulated=self._settings.simulated,
            mechanism=self._mechanism(),
            watch_faults=faults,
        )
        self._last = snapshot
        return snapshot

    def history(self, uuid: str) -> GpuHistory:
        """The last ten minutes of one GPU."""
        return self._sampler.history(uuid)

    def traffic(self, uuid: str) -> LinkTraffic | None:
        """What goes over a GPU's links now."""
        return self._sampler.traffic(uuid)

    def _mechanism(self) -> MechanismName | None:
        if self._sampler.engine.info is None:
            return None
        try:
            return default_choice(self._sampler.access).mechanism
        except GputuiError:
            return None

    def doctor(self) -> tuple[Check, ...]:
        """Look at everything that a container's GPU depends on."""
        with suppress(GputuiError):  # then it stays unknown, and is told so
            self._applying.find_out_driver()
        from gputui.diagnosis.doctor import checks  # noqa: PLC0415

        try:
            choice: Choice | GputuiError = default_choice(self._sampler.access)
        except GputuiError as error:
            choice = error
        return checks(self.snapshot(), choice)

    # --- editing --------------------------------------------------------------------------------------------------

    def check(self, keys: Sequence[ServiceKey], typed: TypedEdit) -> None:
        """Whether this could be edited."""
        self._drafting.check(keys, typed)

    def edit(self, keys: Sequence[ServiceKey], typed: TypedEdit, *, adopt: bool) -> None:
        """Give the services what was typed."""
        self._drafting.edit(keys, typed, adopt=adopt)

    def toggle_gpu(self, keys: Sequence[ServiceKey], gpu: str, *, adopt: bool) -> None:
        """Append this GPU to the service's, or take it away."""
        self._drafting.toggle_gpu(keys, gpu, adopt=adopt)

    def set_enabled(self, keys: Sequence[ServiceKey], enabled: bool, *, adopt: bool) -> None:
        """The service is to run, or not."""
        self._drafting.set_enabled(keys, enabled, adopt=adopt)

    def room_for(self, keys: Sequence[ServiceKey]) -> tuple[GpuRoom, ...]:
        """What each GPU would have left with these services on it."""
        return self._drafting.room_for(keys)

    def set_arguments(
        self, keys: Sequence[ServiceKey], changes: Sequence[tuple[str, str | None]], *, adopt: bool
    ) -> None:
        """Change arguments of the services' commands."""
        self._drafting.set_arguments(keys, changes, adopt=adopt)

    def suggest(self, strategy: StrategyName, reserve_mib: int = 0, *, adopt: bool = False) -> Suggestion:
        """What a strategy would assign."""
        return self._drafting.suggest(strategy, reserve_mib, adopt=adopt)

    def take_suggestion(self, suggestion: Suggestion, *, adopt: bool) -> None:
        """Edit the draft: everything as a strategy suggests it."""
        self._drafting.take_suggestion(suggestion, adopt=adopt)

    def undo(self) -> bool:
        """Take one edit back."""
        return self._drafting.undo()

    def redo(self) -> bool:
        """Make an edit again that was taken back."""
        return self._drafting.redo()

    def keep_mine(self) -> None:
        """Where somebody saved another assignment meanwhile, the edits here hold."""
        self._drafting.keep_mine()

    def take_theirs(self) -> None:
        """Where somebody saved another assignment meanwhile, theirs holds."""
        self._drafting.take_theirs()

    # --- saving ---------------------------------------------------------------------------------------------------

    def save(self, reason: str) -> Assignments:
        """Save the draft."""
        return self._saving.save_draft(reason)

    def roll_back(self, revision: int | None) -> Assignments:
        """Save the assignments of an earlier revision again."""
        return self._saving.roll_back(revision)

    def export_state(self) -> str:
        """The whole state as one text."""
        from gputui.state.state_file import export_state  # noqa: PLC0415

        return export_state(self._saving.opened().database, self._sampler.host)

    def take_in(self, path: str, *, adopt: bool) -> tuple[str, ...]:
        """Bring an exported state back, or put what a file says into the draft."""
        return self._saving.take_in(Path(path), adopt=adopt)

    def revisions(self, limit: int = 100) -> tuple[Assignments, ...]:
        """The newest revisions, newest first."""
        return self._saving.opened().revisions.all(limit)

    def revision(self, number: int) -> Assignments:
        """One revision."""
        return self._saving.opened().revisions.at(number)

    def remove_old(self, retention: Retention, *, dry_run: bool = False) -> Removed:
        """Remove old applies, revisions and logs, and give their space back."""
        from gputui.state.retention import compact, remove_old  # noqa: PLC0415

        if not dry_run:
            self._settings.check_writable()
        database = self._saving.opened().database
        removed = remove_old(database, retention, dry_run=dry_run)
        return removed if dry_run else replace(removed, size=(removed.size[0], compact(database)))

    # --- planning and applying ------------------------------------------------------------------------------------

    def plan(self, only: Sequence[str] = (), *, refresh: bool = False, seen: Snapshot | None = None) -> Plan:
        """What an apply of the draft would do."""
        from gputui.planning.changes.steps import make_plan  # noqa: PLC0415

        snapshot = seen or self.snapshot()
        if snapshot.engine.info is None:
            return Plan(revision=snapshot.draft.revision)  # what runs is not known
        return make_plan(
            snapshot.services,
            snapshot.inventory.gpus,
            snapshot.findings,
            revision=snapshot.draft.revision,
            only=only,
            refresh=refresh,
            containers=self._sampler.containers,
            access=self._sampler.access,
        )

    def lifecycle_plan(self, names: Sequence[str], action: Literal["restart", "start", "stop"]) -> Plan:
        """What restarting, starting or stopping these services would do."""
        from gputui.planning.changes.steps import lifecycle_plan  # noqa: PLC0415

        snapshot = self.snapshot()
        gpus = snapshot.inventory.gpus
        revision = snapshot.draft.saved.revision
        containers = self._sampler.containers
        return lifecycle_plan(
            snapshot.services, gpus, names, action, snapshot.findings, revision=revision, containers=containers
        )

    def find_out(self, plan: Plan) -> None:
        """Find out what a plan needs to know of the engine and what it does not tell."""
        if self._sampler.access.capabilities.nvidia_driver is not None:
            return
        made = [step for step in plan.doing if step.action in ("create", "recreate")]
        if any(step.view is not None and step.view.mechanism == "nvidia" for step in made):
            with suppress(EngineError):  # then it stays unknown, and the start will tell
                self._applying.find_out_driver()

    def preview(self, plan: Plan) -> Plan:
        """The plan with all that would change in each container, and what it would lose."""
        return self._applying.preview(plan, {service.key: service for service in self.snapshot().services})

    def apply(
        self, plan: Plan, reason: str, *, force: bool = False, keep_layers: frozenset[ServiceKey] = frozenset()
    ) -> int:
        """Put the plan on record and start its process."""
        services = {service.key: service for service in self.snapshot().services}
        number = self._applying.begin(plan, services, reason, force=force, keep_layers=keep_layers)
        self._saving.look()
        return number

    def signal(self, pid: int, start_time: int | None, name: ProcessSignal) -> None:
        """Send a signal to a process on a GPU."""
        self._settings.check_writable()
        if self._settings.simulated:
            raise Refusal("simulated processes take no signals", "leave --demo")
        send_signal(pid, start_time, name)

    def cancel(self, apply_id: int) -> None:
        """Have an apply that runs taken back."""
        self._applying.cancel(apply_id)

    def usual_start_s(self, key: ServiceKey) -> float | None:
        """Seconds that this service usually takes until it serves."""
        from statistics import median  # noqa: PLC0415

        from gputui.planning.needs.serving_address import start_s  # noqa: PLC0415

        service = self._service(key)
        with suppress(GputuiError):
            seen = self._saving.opened().applies.start_times((service.name, service.key.full_name))
            if seen:
                return median(seen)
        return start_s(service)

    def command_of(self, key: ServiceKey) -> str:
        """The `docker run` that makes this service's container."""
        return self._applying.command_of(self._service(key))

    def spec_of(self, key: ServiceKey) -> str:
        """What the engine's create call would take for it."""
        from gputui.planning.changes.run_command import shown_body  # noqa: PLC0415

        return shown_body(self._applying.spec_of(self._service(key)))

    def shell_command(self, key: ServiceKey) -> tuple[str, ...]:
        """The command line that opens a shell in this service's container."""
        self._settings.check_writable()
        container = self._service(key).container
        if container is None or not container.running:
            raise Refusal(f"{key.name} does not run, so there is no shell in it", "start it first")
        return self._engine.shell_command(container.id)

    def _service(self, key: ServiceKey) -> Service:
        service = next((one for one in self.snapshot().services if one.key == key), None)
        if service is None:
            raise UsageError(f"there is no service {key.name}", "see `gputui services`")
        return service

    def image_names(self) -> tuple[str, ...]:
        """The images that a new service can be made of."""
        return self._new_services.image_names()

    def free_port(self, besides: Collection[int] = ()) -> int:
        """A port that a new service can publish."""
        return self._new_services.free_port(besides)

    def propose_service(self, service: NewService) -> FileEdit:
        """The Compose file with a new service in it."""
        return self._new_services.propose(service)

    def write_service(self, edit: FileEdit) -> None:
        """Write what was proposed."""
        self._new_services.write(edit)

    def unsettled(self) -> ApplyRecord | None:
        """The newest apply, where it was cut off or left something."""
        return self._applying.unsettled()

    def finish(self, how: Finish) -> int | None:
        """Go on with an apply that was cut off, or take back what it left."""
        number = self._applying.finish(how)
        self._sampler.look_at_engine()
        self._saving.look()
        return number

    def fallbacks(self, policies: frozenset[Fallback]) -> tuple[str, ...]:
        """What falling back would do, for services of these policies whose GPU was gone at the last apply."""
        return tuple(one.text for one in self._replacements(policies))

    def fall_back(self, policies: frozenset[Fallback]) -> int | None:
        """Give these services the next best GPUs, as a revision of its own, and apply that."""
        found = self._replacements(policies)
        if not found:
            return None
        for one in found:
            self._drafting.take_replacement(one.assignment)
        self._saving.save_draft(FALLBACK + "; ".join(one.text for one in found))
        plan = self.plan([one.service.key.full_name for one in found])
        return self.apply(plan, FALLBACK + ", ".join(one.service.name for one in found))

    def _replacements(self, policies: frozenset[Fallback]) -> tuple["Replacement", ...]:
        from gputui.controller.gpu_fallback import replacements  # noqa: PLC0415

        self._saving.look()
        return replacements(self._saving.apply, self.snapshot().services, self._sampler.readings, policies)

    def accept(self) -> ApplyRecord | None:
        """What an apply left is settled as it is."""
        record = self._applying.accept()
        self._saving.look()
        return record

    def events(self, apply_id: int, after: int = 0) -> tuple[ApplyEvent, ...]:
        """What an apply reported."""
        return self._saving.opened().applies.events(apply_id, after)

    def record(self, apply_id: int) -> ApplyRecord:
        """How an apply stands."""
        return self._saving.opened().applies.record(apply_id)

    def kept_logs(self, apply_id: int) -> dict[str, tuple[str, ...]]:
        """The last lines of the containers that an apply removed, by service."""
        kept = self._saving.opened().applies.kept_logs(apply_id)
        return {name: tuple(clean_log_line(line) for line in log.splitlines()) for name, log in kept.items()}

    def applies(self, limit: int = 100) -> tuple[ApplyRecord, ...]:
        """The newest applies, newest first."""
        return self._saving.opened().applies.all(limit)

    # --- logs -----------------------------------------------------------------------------------------------------

    def previous_log(self, key: ServiceKey) -> tuple[LogLine, ...]:
        """The last lines of the container that this service had before."""
        kept = self._saving.opened().applies.last_kept_log(key)
        return tuple(LogLine(clean_log_line(line)) for line in kept.splitlines())

    def follow_log(self, key: ServiceKey, window: LogWindow) -> int:
        """Begin to read a service's log."""
        service = self._service(key)
        if service.container is None:
            raise UsageError(f"{key.name} has no container, so it has no log", "create it with `gputui apply`")
        return self._logs.open(service.container.id, window)

    def read_log(self, feed: int) -> LogBatch:
        """What came since the last read."""
        return self._logs.read(feed)

    def close_log(self, feed: int) -> None:
        """Stop reading a log."""
        self._logs.close(feed)
