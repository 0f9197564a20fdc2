"""The controller in six parts, the whole interface for the screen and the command line. Only frozen values cross it.

A widget or a verb takes the parts that it needs. Calls that may take time say so; the others return at once.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Literal, Protocol

from gputui.domain.assignment import Assignments
from gputui.domain.compose import FileEdit, NewService
from gputui.domain.event import ApplyEvent, ApplyRecord, Finish
from gputui.domain.finding import Check
from gputui.domain.gpu import ProcessSignal
from gputui.domain.gpu_details import GpuHistory, LinkTraffic
from gputui.domain.log import LogBatch, LogLine, LogWindow
from gputui.domain.memory import GpuHeadroom
from gputui.domain.message import Message
from gputui.domain.plan import Plan
from gputui.domain.retention import Removed, Retention
from gputui.domain.service import Fallback, ServiceKey, TypedEdit
from gputui.domain.snapshot import Snapshot
from gputui.domain.strategy import StrategyName
from gputui.domain.suggestion import Suggestion


class Watch(Protocol):
    """The current state of the server, and actions on what it shows."""

    def start(self) -> None:
        """Begin to watch GPUs, engine and state; watches that already run continue."""
        ...

    def wait(self, limit_s: float, *, engine: bool = True) -> Snapshot:
        """Wait for the first readings and the engine's first answer, at most `limit_s`."""
        ...

    def close(self) -> None:
        """Stop watching."""
        ...

    def snapshot(self) -> Snapshot:
        """The current state, with the draft as edited."""
        ...

    def on_change(self, listener: Callable[[Snapshot], None]) -> None:
        """Call the listener, from another thread, with every new snapshot."""
        ...

    def rescan(self) -> None:
        """Look for new GPUs and read the Compose files again."""
        ...

    def gpu_history(self, uuid: str) -> GpuHistory:
        """The last ten minutes of one GPU."""
        ...

    def traffic(self, uuid: str) -> LinkTraffic | None:
        """The current traffic over a GPU's links; None if it is not known. It takes a moment to measure."""
        ...

    def probe_devices(self, limit_s: float) -> None:
        """Wait, at most `limit_s`, until the devices in the containers of adopted services were probed."""
        ...

    def doctor(self) -> tuple[Check, ...]:
        """Check everything that a container's GPU depends on. It may take a moment."""
        ...

    def signal(self, pid: int, start_time: int | None, name: ProcessSignal) -> None:
        """Send a signal to a process on a GPU, known by its pid and when it started.

        Raises:
            Refusal: the pid now belongs to another process, or the process to another user.
        """
        ...

    def shell_command(self, key: ServiceKey) -> tuple[str, ...]:
        """The command line that opens a shell in this service's container.

        Raises:
            Refusal: it does not run, or this machine has no program for it.
        """
        ...


class Draft(Protocol):
    """The assignments as edited but not saved. Each edit is atomic, and one undo reverts it.

    All edits raise:
        NeedsAnswer: a container is unmanaged and `adopt` does not allow to adopt it.
        UsageError: no such GPU or service, or an invalid value.
    """

    def check(self, keys: Sequence[ServiceKey], typed: TypedEdit) -> None:
        """Check whether this edit is possible, without making it or asking anybody.

        Raises:
            UsageError: no such GPU or service, or an invalid value.
            Refusal: the engine cannot do it.
        """
        ...

    def edit(self, keys: Sequence[ServiceKey], typed: TypedEdit, *, adopt: bool) -> None:
        """Give the services these GPUs (`0,2`, UUIDs, `none`, or `auto`), this VRAM budget (`3.5GiB`, or `none`) and
        this priority (`5`, or `none` for that of the Compose file)."""
        ...

    def toggle_gpu(self, keys: Sequence[ServiceKey], gpu: str, *, adopt: bool) -> None:
        """Append this GPU (label or UUID), or remove it."""
        ...

    def set_enabled(self, keys: Sequence[ServiceKey], enabled: bool, *, adopt: bool) -> None:
        """Set whether the services should run."""
        ...

    def set_arguments(
        self, keys: Sequence[ServiceKey], changes: Sequence[tuple[str, str | None]], *, adopt: bool
    ) -> None:
        """Change arguments of the services' commands; a value of None removes one."""
        ...

    def headroom(self, keys: Sequence[ServiceKey]) -> tuple[GpuHeadroom, ...]:
        """The headroom of each GPU with all of these services on it."""
        ...

    def suggest(self, strategy: StrategyName, reserve_mib: int = 0, *, adopt: bool = False) -> Suggestion:
        """What a strategy would assign, with `reserve_mib` kept free on every GPU; `adopt`: to unmanaged containers,
        too. Changes nothing. May take time."""
        ...

    def take_suggestion(self, suggestion: Suggestion, *, adopt: bool) -> None:
        """Take over everything that a strategy suggests."""
        ...

    def undo(self) -> bool:
        """Undo one edit; whether there was one."""
        ...

    def redo(self) -> bool:
        """Redo an edit that was undone; whether there was one."""
        ...

    def resolve(self, whose: Literal["mine", "theirs"]) -> None:
        """Choose whose assignment holds for each service that is edited here and that somebody saved meanwhile."""
        ...

    def save(self, reason: Message) -> Assignments:
        """Save the draft as the next revision, with its files. May take time.

        Raises:
            Conflict: somebody saved another assignment of a service that is edited here.
            Unreachable: there is no state without an engine.
        """
        ...


class Applies(Protocol):
    """Plans and applies. Calls that need a container or the engine may take time."""

    def plan(self, only: Sequence[str] = (), *, refresh: bool = False, seen: Snapshot | None = None) -> Plan:
        """What an apply of the draft would do, now or according to the snapshot `seen`; `refresh`: include services
        that differ from their Compose file."""
        ...

    def lifecycle_plan(self, names: Sequence[str], action: Literal["restart", "start", "stop"]) -> Plan:
        """What restarting, starting or stopping these services would do."""
        ...

    def learn_engine(self, plan: Plan) -> None:
        """Find out what this plan depends on but the engine does not report by itself; then plan again. To be called
        before showing a plan that may be carried out."""
        ...

    def preview(self, plan: Plan) -> Plan:
        """The plan with every field that changes in each container, and what it would lose."""
        ...

    def begin(
        self, plan: Plan, reason: Message, *, force: bool = False, keep_layers: frozenset[ServiceKey] = frozenset()
    ) -> int:
        """Start to carry out a plan in a process of its own; its number.

        `keep_layers`: services for which the data that their containers wrote outside volumes is kept as an image.

        Raises:
            Refusal: a finding stops it.
            Conflict: another apply is running, or one was interrupted.
        """
        ...

    def cancel(self, apply_id: int) -> None:
        """Have a running apply rolled back; it ends like a failed one.

        Raises:
            Refusal: it does not run any more.
        """
        ...

    def unsettled(self) -> ApplyRecord | None:
        """The newest apply that was interrupted or left something that could not be rolled back."""
        ...

    def finish(self, ending: Finish) -> int | None:
        """Resume such an apply, or roll back what it left, in a process of its own; its number, None if there is none.

        Raises:
            Refusal: it cannot be resumed, because it was being rolled back.
        """
        ...

    def accept(self) -> ApplyRecord | None:
        """Mark such an apply as settled, because somebody handled what it left."""
        ...

    def fallbacks(self, policies: frozenset[Fallback]) -> tuple[str, ...]:
        """What a fallback would do: a line for each service with these policies whose GPU was gone at the last apply
        and that fits elsewhere."""
        ...

    def fall_back(self, policies: frozenset[Fallback]) -> int | None:
        """Fall back, with a revision and an apply of its own; its number, None if there is nothing to do."""
        ...

    def usual_start_s(self, key: ServiceKey) -> float | None:
        """Seconds that this service usually takes until it serves: as observed in earlier applies, else estimated by
        the size of its model; None if unknown."""
        ...


class History(Protocol):
    """Recorded revisions and applies. Reading them may take time."""

    def applies(self, limit: int = 100) -> tuple[ApplyRecord, ...]:
        """The newest applies, newest first."""
        ...

    def record(self, apply_id: int) -> ApplyRecord:
        """The current state of an apply."""
        ...

    def events(self, apply_id: int, after_number: int = 0) -> tuple[ApplyEvent, ...]:
        """The events of an apply beyond `after_number`."""
        ...

    def revisions(self, limit: int = 100) -> tuple[Assignments, ...]:
        """The newest revisions, newest first."""
        ...

    def revision(self, number: int) -> Assignments:
        """One revision."""
        ...

    def roll_back(self, revision: int | None) -> Assignments:
        """Save the assignments of an earlier revision (default: the one before the newest) as the next one."""
        ...

    def export_state(self) -> str:
        """The whole state (revisions, applies, peaks, kept logs) as one text, with secrets masked."""
        ...

    def import_file(self, path: str, *, adopt: bool) -> tuple[str, ...]:
        """Import an exported state, or a `gpu-assignments.yml` that was edited by hand; lines on the outcome.

        An exported state is restored as it is if the current one is empty. Otherwise its newest revision, or the
        assignments of the file, go into the draft.

        Raises:
            NeedsAnswer: it changes unmanaged containers, and `adopt` does not allow that.
            UsageError: the file is invalid.
        """
        ...

    def remove_old(self, retention: Retention, *, dry_run: bool = False) -> Removed:
        """Remove old applies, revisions and logs, and reclaim their space."""
        ...


class Logs(Protocol):
    """Logs of services, as they grow and as they were."""

    def follow(self, key: ServiceKey, window: LogWindow) -> int:
        """Begin to read a service's log; the number of the feed."""
        ...

    def read(self, feed: int) -> LogBatch:
        """What arrived since the last read."""
        ...

    def close(self, feed: int) -> None:
        """Stop reading a log."""
        ...

    def previous(self, key: ServiceKey) -> tuple[LogLine, ...]:
        """The last lines of this service's previous container, kept by the last apply that replaced it; empty if there
        is none. May take time."""
        ...

    def kept(self, apply_id: int) -> dict[str, tuple[str, ...]]:
        """The last lines of the containers that an apply removed, by service."""
        ...


class ComposeFiles(Protocol):
    """The definitions of services, as people write them. All calls may take time."""

    def image_names(self) -> tuple[str, ...]:
        """The images that a new service can use."""
        ...

    def free_port(self, besides: Collection[int] = ()) -> int:
        """A port that a new service can publish, not one of `besides`."""
        ...

    def propose(self, service: NewService) -> FileEdit:
        """The Compose file with a new service in it; nothing is written.

        Raises:
            Refusal: there is no Compose file.
            UsageError: something of the service is wrong.
        """
        ...

    def write(self, edit: FileEdit) -> None:
        """Write what was proposed.

        Raises:
            Conflict: the file was changed meanwhile.
        """
        ...

    def run_command(self, key: ServiceKey) -> str:
        """The `docker run` command that creates this service's container, with secrets masked."""
        ...

    def create_body(self, key: ServiceKey) -> str:
        """The body of the engine's create call for it, as JSON with secrets masked."""
        ...


class Controller(Protocol):
    """All six parts."""

    @property
    def watch(self) -> Watch:
        """The current state of the server."""
        ...

    @property
    def draft(self) -> Draft:
        """The assignments as edited."""
        ...

    @property
    def applies(self) -> Applies:
        """Plans and applies."""
        ...

    @property
    def history(self) -> History:
        """Saved revisions and applies."""
        ...

    @property
    def logs(self) -> Logs:
        """Logs of services."""
        ...

    @property
    def compose_files(self) -> ComposeFiles:
        """The definitions of services."""
        ...
