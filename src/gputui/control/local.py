"""The control room of this machine."""

import os
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gputui.apply.executor import Executor
from gputui.apply.process import ApplyLock
from gputui.containers.engine import Engine
from gputui.control.compose_watch import ComposeWatch
from gputui.control.engine_watch import EngineWatch
from gputui.control.gpu_watch import GpuWatch
from gputui.control.log_feeds import LogFeeds
from gputui.control.model_watch import ModelWatch
from gputui.control.store import Store
from gputui.domain.assignment import Assignments, Draft
from gputui.domain.container import ContainerSpec
from gputui.domain.errors import Conflict, GputuiError, NeedsAnswer, Refusal, Unreachable, UsageError
from gputui.domain.event import ApplyEvent, ApplyRecord
from gputui.domain.gpu import Gpu
from gputui.domain.log import LogBatch
from gputui.domain.peak import PeakKey
from gputui.domain.plan import Plan, Transaction
from gputui.domain.service import Edit, Service, ServiceKey
from gputui.domain.snapshot import EngineStatus, Snapshot
from gputui.domain.suggestion import StrategyName, Suggestion
from gputui.domain.text import clean
from gputui.domain.units import parse_size
from gputui.gpus.source import GpuSource
from gputui.planning import edit
from gputui.planning.findings.find_all import find_all
from gputui.planning.given_gpus import find_gpu
from gputui.planning.memory import memory_of
from gputui.planning.operations import make_transaction
from gputui.planning.peaks import new_peaks
from gputui.planning.plan import lifecycle_plan, make_plan
from gputui.planning.services import World, join_services, wanted_places
from gputui.planning.suggestion import automatic, suggest
from gputui.project.state_dir import StateDir

NOT_SAVED = Assignments()
ADOPTING = "say yes, or --yes, to adopt it: it is then recreated by plans, and put back if that fails"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a control room is told at the start. `launch` starts the process of an apply that is on record."""

    host: str
    operator: str
    interval_s: float = 1.0
    settle_s: float = 6.0
    health_limit_s: float = 1800.0
    readonly: bool = False
    simulated: bool = False
    path_aliases: Mapping[str, str] = field(default_factory=dict)
    state_dir: Callable[[EngineStatus], StateDir]
    launch: Callable[[int, Store], None]


class LocalControlRoom:
    """Implements `ControlRoom` over a source of readings, an engine and a Compose project."""

    def __init__(self, source: GpuSource, engine: Engine, compose: ComposeWatch, settings: Settings) -> None:
        self._source = source
        self._engine = engine
        self._compose = compose
        self._settings = settings
        self._lock = threading.RLock()
        self._listeners: list[Callable[[Snapshot], None]] = []
        self._gpu_watch = GpuWatch(source, settings.interval_s, self._changed)
        self._engine_watch = EngineWatch(engine, self._changed, self._connected)
        self._models = ModelWatch(self._tell)
        self._logs = LogFeeds(engine)
        self._store: Store | None = None
        self._not_shared: str | None = None
        self._fault: str | None = None
        self._state_seen = 0
        self._draft = Draft(saved=NOT_SAVED, current=NOT_SAVED)
        self._apply: ApplyRecord | None = None
        self._peaks: Mapping[PeakKey, int] = {}

    # --- watching -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch."""
        self._gpu_watch.start()
        self._engine_watch.start()
        self._models.start()

    def wait_until_seen(self, limit_s: float, *, engine: bool = True) -> Snapshot:
        """Wait for the first readings and the engine's first answer."""
        if engine:
            self._engine_watch.first_answer.wait(limit_s)
        self._gpu_watch.wait(limit_s)
        self._look_at_models(self.snapshot())
        self._models.wait(limit_s)
        return self.snapshot()

    def close(self) -> None:
        """Stop watching."""
        self._logs.close_all()
        self._models.close()
        self._engine_watch.close()
        self._gpu_watch.close()

    def _connected(self, status: EngineStatus) -> None:
        directory = self._settings.state_dir(status)
        store = Store(directory.path)
        latest = store.revisions.latest()
        with self._lock:
            self._store = store
            self._not_shared = directory.not_shared
            self._draft = self._draft.rebased(latest)

    def _changed(self) -> None:
        """Called by the watching threads, which must go on whatever a file or the state brings."""
        try:
            self._fault = None
            self._look_at_state()
            snapshot = self.snapshot()
            self._look_at_models(snapshot)
        except GputuiError as error:
            self._fault = error.what
            snapshot = self.snapshot()
        except Exception as error:
            self._fault = clean(repr(error), 200)
            snapshot = self.snapshot()
        for listener in self._listeners:
            listener(snapshot)

    def _look_at_models(self, snapshot: Snapshot) -> None:
        """Have the models' files read, and remember what settled services hold."""
        self._models.want(wanted_places(snapshot.services, self._path_aliases()))
        raised = new_peaks(snapshot.services, snapshot.readings, self._peaks)
        if not raised:
            return
        store = self._store
        if store is not None and not self._settings.readonly:
            try:
                store.peaks.remember(raised)
            except GputuiError as error:
                self._fault = error.what  # who only looks is not bothered with it
        with self._lock:
            self._peaks = {**self._peaks, **raised}

    def _path_aliases(self) -> Mapping[str, str]:
        project = self._compose.project
        return {**(project.path_aliases if project else {}), **self._settings.path_aliases}

    def _tell(self) -> None:
        if self._listeners:
            snapshot = self.snapshot()
            for listener in self._listeners:
                listener(snapshot)

    def _look_at_state(self) -> None:
        """Take in what other operators saved and what an apply did. The disk is read without the lock held."""
        self._compose.look()
        store = self._store
        if store is None:
            return
        version = store.version()
        running = self._apply is not None and self._apply.result == "running"
        if version == self._state_seen and not running:
            return
        latest = store.revisions.latest()
        newest_apply = next(iter(store.applies.all(limit=1)), None)
        peaks = store.peaks.all()
        with self._lock:
            self._state_seen = version
            self._apply = newest_apply
            self._peaks = {**peaks, **{key: max(mib, peaks.get(key, 0)) for key, mib in self._peaks.items()}}
            if latest.revision > self._draft.saved.revision:
                self._draft = self._draft.rebased(latest)

    def on_change(self, listener: Callable[[Snapshot], None]) -> None:
        """Call the listener with every new snapshot."""
        self._listeners.append(listener)

    def rescan(self) -> None:
        """Look for new GPUs and read the Compose files again."""
        self._compose.forget()
        self._models.look_now()
        self._gpu_watch.rescan()
        self._engine_watch.look_now()

    def _gpus(self) -> tuple[Gpu, ...]:
        return self._gpu_watch.inventory().gpus

    def _services(self, assignments: Assignments) -> tuple[Service, ...]:
        world = World(
            host=self._settings.host,
            gpus=self._gpus(),
            readings=self._gpu_watch.readings(),
            containers=self._engine_watch.containers,
            project=self._compose.project,
            path_aliases=self._path_aliases(),
            files=self._models.files(),
            peaks=self._peaks,
        )
        return join_services(world, assignments)

    def snapshot(self) -> Snapshot:
        """What is known now, with the draft as edited."""
        with self._lock:
            readings = self._gpu_watch.readings()
            services = self._services(self._draft.current)
            memory = tuple(memory_of(reading, services) for reading in readings)
            notes = tuple(note for note in (self._compose.note, self._not_shared, self._fault) if note)
            return Snapshot(
                host=self._settings.host,
                taken_at=time.time(),
                inventory=self._gpu_watch.inventory(),
                readings=readings,
                memory=memory,
                engine=self._engine_watch.status,
                services=services,
                draft=self._draft,
                findings=find_all(services, self._gpus(), readings, memory),
                apply=self._apply,
                operator=self._settings.operator,
                project=self._compose.project.name if self._compose.project else "",
                notes=notes,
                simulated=self._settings.simulated,
            )

    # --- editing --------------------------------------------------------------------------------------------------

    def _check_writable(self) -> None:
        if self._settings.readonly:
            raise Refusal("this gputui was started with --readonly", "start it without to change anything")

    def _service(self, key: ServiceKey, *, adopt: bool) -> Service:
        self._check_writable()
        service = next((one for one in self._services(self._draft.current) if one.key == key), None)
        if service is None:
            raise UsageError(f"there is no service {key.name}", "see `gputui services`")
        if edit.needs_adoption(service) and not adopt:
            raise NeedsAnswer(
                f"{service.name} is a container that gputui found; may it be changed from here?",
                ADOPTING,
            )
        return service

    def _edit(self, draft: Draft) -> None:
        self._draft = draft
        self._tell()

    def set_gpus(self, key: ServiceKey, gpus: str, *, adopt: bool) -> None:
        """Give the service these GPUs."""
        with self._lock:
            service = self._service(key, adopt=adopt)
            if gpus.strip().lower() == "auto":
                readings = self._gpu_watch.readings()
                found = automatic(service, self._services(self._draft.current), readings)
                self._edit(edit.with_suggestion(self._draft, "manual", {service.key: service}, [found]))
            else:
                self._edit(edit.with_gpus(self._draft, service, edit.parse_gpus(gpus, self._gpus())))

    def toggle_gpu(self, key: ServiceKey, gpu: str, *, adopt: bool) -> None:
        """Append this GPU to the service's, or take it away."""
        with self._lock:
            found = find_gpu(self._gpus(), gpu)
            if found is None:
                raise UsageError(f"there is no GPU {gpu}", "press one that has a card")
            service = self._service(key, adopt=adopt)
            self._edit(edit.with_gpus(self._draft, service, edit.toggled(service, found)))

    def set_enabled(self, key: ServiceKey, enabled: bool, *, adopt: bool) -> None:
        """The service is to run, or not."""
        with self._lock:
            self._edit(edit.with_enabled(self._draft, self._service(key, adopt=adopt), enabled))

    def set_budget(self, key: ServiceKey, budget: str, *, adopt: bool) -> None:
        """The service's VRAM budget."""
        with self._lock:
            mib = None if budget.strip().lower() in ("", "none") else parse_size(budget, where="budget")
            self._edit(edit.with_budget(self._draft, self._service(key, adopt=adopt), mib))

    def set_argument(self, key: ServiceKey, argument: str, value: str | None, *, adopt: bool) -> None:
        """Change one argument of the service's command."""
        with self._lock:
            if not argument.startswith("-"):
                raise UsageError(f"“{argument}” is no option of a command", "write it like --max-model-len=8192")
            change = Edit(argument=argument, value=value, reason=f"set by {self._settings.operator}")
            self._edit(edit.with_argument(self._draft, self._service(key, adopt=adopt), change))

    def suggest(self, strategy: StrategyName, reserve_mib: int = 0, *, adopt: bool = False) -> Suggestion:
        """What a strategy would assign."""
        with self._lock:
            services, readings = self._services(self._draft.current), self._gpu_watch.readings()
        return suggest(strategy, services, readings, reserve_mib=reserve_mib, adopt=adopt)

    def take_suggestion(self, suggestion: Suggestion, *, adopt: bool) -> None:
        """Edit the draft: everything as a strategy suggests it."""
        self._check_writable()
        with self._lock:
            services = {one.key: one for one in self._services(self._draft.current)}
            for one in (*suggestion.assignments, *suggestion.fixed):
                now = services.get(one.service)
                if not one.moved and (now is None or now.assigned != one.gpus):
                    raise Conflict(f"{one.name} was changed meanwhile", "ask for the suggestion again")
            changed = [one for one in suggestion.assignments if one.moved or one.adjusted]
            left_out = [one.service for one in suggestion.unplaced if not one.stays]
            touched = [services[key] for key in (*(one.service for one in changed), *left_out) if key in services]
            found = [service.name for service in touched if edit.needs_adoption(service)]
            if found and not adopt:
                raise NeedsAnswer(
                    f"{', '.join(found)}: containers that gputui found; may they be changed from here?", ADOPTING
                )
            self._edit(edit.with_suggestion(self._draft, suggestion.strategy, services, changed, left_out))

    def undo(self) -> bool:
        """Take one edit back."""
        with self._lock:
            before = self._draft
            self._edit(before.undone())
            return self._draft is not before

    # --- saving and applying --------------------------------------------------------------------------------------

    def _opened(self) -> Store:
        if self._store is None:
            status = self._engine_watch.status
            raise Unreachable(status.reason or "the engine is not connected", status.fix or "")
        return self._store

    def _save(self, assignments: Assignments, reason: str) -> Assignments:
        self._check_writable()
        store = self._opened()
        with self._lock:
            base = self._draft.saved.revision
            services, as_found = self._services(assignments), self._services(NOT_SAVED)
        saved = store.save(
            base,
            assignments,
            author=self._settings.operator,
            reason=reason,
            services=services,
            as_found=as_found,
            gpus=self._gpus(),
            # Simulated GPUs have no business in the files of a real project.
            project=None if self._settings.simulated else self._compose.project,
        )
        with self._lock:
            edited_meanwhile = self._draft.current not in (assignments, self._draft.saved)
            past = self._draft.past
            self._draft = (
                self._draft.rebased(saved) if edited_meanwhile else Draft(saved=saved, current=saved, past=past)
            )
        self._tell()
        return saved

    def save(self, reason: str) -> Assignments:
        """Save the draft."""
        with self._lock:
            draft = self._draft
        return self._save(draft.current, reason) if draft.changed else draft.saved

    def roll_back(self, revision: int | None) -> Assignments:
        """Save the assignments of an earlier revision again."""
        revisions = self._opened().revisions
        newest = revisions.latest()
        if revision is None:
            if newest.revision < 2:
                raise UsageError("there is no revision to go back to", "see `gputui history`")
            revision = newest.revision - 1
        target = revisions.at(revision)
        assignments = replace(newest, items=())
        for item in newest.items:
            before = target.of(item.key)
            # What was adopted since stays so: it is to be carried back to where it was found.
            assignments = assignments.having(replace(before, adopted=item.adopted) if before else item)
        return self._save(assignments, f"rollback to revision {revision}")

    def plan(self, only: Sequence[str] = ()) -> Plan:
        """What an apply of the draft would do."""
        snapshot = self.snapshot()
        revision = snapshot.draft.saved.revision + (1 if snapshot.draft.changed else 0)
        if snapshot.engine.info is None:
            return Plan(revision=revision)  # what runs is not known
        return make_plan(snapshot.services, snapshot.inventory.gpus, snapshot.findings, revision=revision, only=only)

    def lifecycle_plan(self, names: Sequence[str], action: Literal["restart", "start", "stop"]) -> Plan:
        """What restarting, starting or stopping these services would do."""
        snapshot = self.snapshot()
        gpus = snapshot.inventory.gpus
        return lifecycle_plan(snapshot.services, gpus, names, action, revision=snapshot.draft.saved.revision)

    def apply(self, plan: Plan, reason: str, *, force: bool = False) -> int:
        """Put the plan on record and start its process."""
        self._check_writable()
        store = self._opened()
        for finding in plan.obstacles:
            if finding.severity == "refusal" or not force:
                raise Refusal(finding.text, finding.fix)
        _check_no_other(store)
        transaction = self._transaction(plan, reason)
        number = store.applies.begin(transaction)
        self._settings.launch(number, store)
        self._look_at_state()
        return number

    def _transaction(self, plan: Plan, reason: str) -> Transaction:
        specs: dict[ServiceKey, ContainerSpec] = {}
        running: dict[ServiceKey, bool] = {}
        for step in plan.doing:
            if step.container_id is not None:
                specs[step.service] = self._engine.spec(step.container_id)
                state = self._engine.inspect(step.container_id).state
                running[step.service] = state in ("running", "restarting", "paused")
            else:
                specs[step.service] = self._spec_from_file(step.service)
        return make_transaction(
            plan,
            specs,
            running,
            self._compose.project,
            operator=self._settings.operator,
            reason=reason,
            token=secrets.token_hex(8),
            settle_s=self._settings.settle_s,
            health_limit_s=self._settings.health_limit_s,
        )

    def _spec_from_file(self, key: ServiceKey) -> ContainerSpec:
        project = self._compose.project
        declared = project.service(key.name) if project else None
        if project is None or declared is None:
            raise Refusal(f"{key.name} is in no Compose file, so it cannot be created", "name its file with --file")
        name = declared.container_name or f"{project.name}-{declared.name}-1"
        return ContainerSpec(name=name, body=declared.body, networks=declared.networks)

    def recover(self) -> ApplyRecord | None:
        """Take back an apply that was cut off, or that could not be taken back before."""
        self._check_writable()
        store = self._opened()
        number = self._unsettled(store)
        if number is None:
            return None
        lock = ApplyLock(store.directory)
        lock.take()
        with lock:
            store.applies.claim(number, os.getpid())
            Executor(self._engine, self._source, store.applies, number).take_back()
        self._engine_watch.look_now()
        self._look_at_state()
        return store.applies.record(number)

    def _unsettled(self, store: Store) -> int | None:
        """The newest apply, where it was cut off or left something that was neither committed nor taken back."""
        for record in store.applies.all(limit=1):
            if record.result == "running" and not record.alive:
                return record.id
            if record.result == "failed":
                executor = Executor(self._engine, self._source, store.applies, record.id)
                return record.id if executor.is_unsettled() else None
        return None

    def events(self, apply_id: int, after: int = 0) -> tuple[ApplyEvent, ...]:
        """What an apply reported."""
        return self._opened().applies.events(apply_id, after)

    def record(self, apply_id: int) -> ApplyRecord:
        """How an apply stands."""
        return self._opened().applies.record(apply_id)

    def applies(self) -> tuple[ApplyRecord, ...]:
        """All applies, newest first."""
        return self._opened().applies.all()

    def revisions(self) -> tuple[Assignments, ...]:
        """All revisions, newest first."""
        return self._opened().revisions.all()

    # --- logs -----------------------------------------------------------------------------------------------------

    def follow_log(self, key: ServiceKey, tail: int) -> int:
        """Begin to read a service's log."""
        service = next((one for one in self.snapshot().services if one.key == key), None)
        if service is None or service.container is None:
            raise UsageError(f"{key.name} has no container, so it has no log", "create it with `gputui apply`")
        return self._logs.open(service.container.id, tail)

    def read_log(self, feed: int) -> LogBatch:
        """What came since the last read."""
        return self._logs.read(feed)

    def close_log(self, feed: int) -> None:
        """Stop reading a log."""
        self._logs.close(feed)


def _check_no_other(store: Store) -> None:
    for record in store.applies.unfinished():
        if record.alive:
            raise Conflict(f"{record.operator} is applying revision {record.revision}", "wait for it to end")
        raise Conflict(
            f"the apply of {record.operator} at {record.started_at} was cut off",
            "take back what it left with `gputui rollback --yes`, then apply again",
        )
