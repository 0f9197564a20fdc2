"""The controller in six parts: all that a screen or a command line may ask for. What crosses it are frozen values.

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
    """What the server is like now, and reaching into what is seen of it."""

    def start(self) -> None:
        """Begin to watch GPUs, engine and state; what is begun already goes on."""
        ...

    def wait(self, limit_s: float, *, engine: bool = True) -> Snapshot:
        """Wait for the first readings and the engine's first answer, at most `limit_s`."""
        ...

    def close(self) -> None:
        """Stop watching."""
        ...

    def snapshot(self) -> Snapshot:
        """What is known now, with the draft as it is edited."""
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
        """What goes over a GPU's links now; None where that cannot be told. It takes a moment to measure."""
        ...

    def probe_devices(self, limit_s: float) -> None:
        """Wait, at most `limit_s`, until it was seen which devices the containers of adopted services really have."""
        ...

    def doctor(self) -> tuple[Check, ...]:
        """Check everything that a container's GPU depends on. It may take a moment."""
        ...

    def signal(self, pid: int, start_time: int | None, name: ProcessSignal) -> None:
        """Send a signal to a process on a GPU, known by its pid and when it started.

        Raises:
            Refusal: the pid is another process's now, or the process is somebody else's.
        """
        ...

    def shell_command(self, key: ServiceKey) -> tuple[str, ...]:
        """The command line that opens a shell in this service's container.

        Raises:
            Refusal: it does not run, or there is no program for it on this machine.
        """
        ...


class Draft(Protocol):
    """The assignments as edited but not saved. Each edit is done whole or not at all, and one undo reverts it.

    All edits raise:
        NeedsAnswer: a container is unmanaged and `adopt` does not say that it may be taken over.
        UsageError: no such GPU or service, or no value.
    """

    def check(self, keys: Sequence[ServiceKey], typed: TypedEdit) -> None:
        """Whether this could be edited; nothing is, and nobody is asked.

        Raises:
            UsageError: no such GPU or service, or no value.
            Refusal: the engine cannot do it.
        """
        ...

    def edit(self, keys: Sequence[ServiceKey], typed: TypedEdit, *, adopt: bool) -> None:
        """The services get these GPUs (`0,2`, UUIDs, `none`, or `auto`), this VRAM budget (`3.5GiB`, or `none`) and
        this priority (`5`, or `none` for that of the Compose file)."""
        ...

    def toggle_gpu(self, keys: Sequence[ServiceKey], gpu: str, *, adopt: bool) -> None:
        """Append this GPU (label or UUID), or remove it."""
        ...

    def set_enabled(self, keys: Sequence[ServiceKey], enabled: bool, *, adopt: bool) -> None:
        """Whether the services should run."""
        ...

    def set_arguments(
        self, keys: Sequence[ServiceKey], changes: Sequence[tuple[str, str | None]], *, adopt: bool
    ) -> None:
        """Change arguments of the services' commands; a value of None removes one."""
        ...

    def headroom(self, keys: Sequence[ServiceKey]) -> tuple[GpuHeadroom, ...]:
        """What each GPU would have left with all of these services on it."""
        ...

    def suggest(self, strategy: StrategyName, reserve_mib: int = 0, *, adopt: bool = False) -> Suggestion:
        """What a strategy would assign, with `reserve_mib` kept free on every GPU; `adopt`: to unmanaged containers,
        too. Changes nothing. May take time."""
        ...

    def take_suggestion(self, suggestion: Suggestion, *, adopt: bool) -> None:
        """The services get what a strategy suggests for them."""
        ...

    def undo(self) -> bool:
        """Undo one edit; whether there was one."""
        ...

    def redo(self) -> bool:
        """Redo an edit that was undone; whether there was one."""
        ...

    def resolve(self, whose: Literal["mine", "theirs"]) -> None:
        """Which assignment holds of each service that somebody saved meanwhile and that is edited here."""
        ...

    def save(self, reason: Message) -> Assignments:
        """Save the draft as the next revision, with its files. May take time.

        Raises:
            Conflict: somebody saved another assignment of a service that is edited here.
            Unreachable: without an engine there is no state.
        """
        ...


class Applies(Protocol):
    """Plans, and carrying them out. What takes a container or the engine may take time."""

    def plan(self, only: Sequence[str] = (), *, refresh: bool = False, seen: Snapshot | None = None) -> Plan:
        """What an apply of the draft would do, now or as it was `seen`; `refresh`: also to what differs from its
        Compose file."""
        ...

    def lifecycle_plan(self, names: Sequence[str], action: Literal["restart", "start", "stop"]) -> Plan:
        """What restarting, starting or stopping these services would do."""
        ...

    def learn_engine(self, plan: Plan) -> None:
        """Find out what this plan depends on and the engine does not say by itself; then plan again. To be called
        before a plan is shown that may be carried out."""
        ...

    def preview(self, plan: Plan) -> Plan:
        """The plan with every field that changes in each container, and what it would lose."""
        ...

    def begin(
        self, plan: Plan, reason: Message, *, force: bool = False, keep_layers: frozenset[ServiceKey] = frozenset()
    ) -> int:
        """Start to carry a plan out in a process of its own; its number.

        Of the services in `keep_layers`, what their containers wrote outside volumes is kept as an image.

        Raises:
            Refusal: a finding stops it.
            Conflict: another apply is running, or one was interrupted.
        """
        ...

    def cancel(self, apply_id: int) -> None:
        """Have a running apply rolled back; it ends as one that failed.

        Raises:
            Refusal: it does not run any more.
        """
        ...

    def unsettled(self) -> ApplyRecord | None:
        """The newest apply, where it was interrupted or left something that could not be rolled back."""
        ...

    def finish(self, ending: Finish) -> int | None:
        """Resume such an apply, or roll back what it left, in a process of its own; its number, None where there is
        none.

        Raises:
            Refusal: it cannot be resumed, because it was being rolled back.
        """
        ...

    def accept(self) -> ApplyRecord | None:
        """Somebody looked after what such an apply left: it is settled as it is."""
        ...

    def fallbacks(self, policies: frozenset[Fallback]) -> tuple[str, ...]:
        """What falling back would do, a line for each service of these policies whose GPU was gone at the last
        apply, and that fits elsewhere."""
        ...

    def fall_back(self, policies: frozenset[Fallback]) -> int | None:
        """Do so, as a revision and an apply of its own; its number, None where there is nothing to do."""
        ...

    def usual_start_s(self, key: ServiceKey) -> float | None:
        """Seconds that this service usually takes until it serves: as it was seen at earlier applies, else by the size
        of its model; None where nothing is known."""
        ...


class History(Protocol):
    """Revisions and applies on record. Reading them may take time."""

    def applies(self, limit: int = 100) -> tuple[ApplyRecord, ...]:
        """The newest applies, newest first."""
        ...

    def record(self, apply_id: int) -> ApplyRecord:
        """How an apply stands."""
        ...

    def events(self, apply_id: int, after_number: int = 0) -> tuple[ApplyEvent, ...]:
        """What an apply reported beyond event `after`."""
        ...

    def revisions(self, limit: int = 100) -> tuple[Assignments, ...]:
        """The newest revisions, newest first."""
        ...

    def revision(self, number: int) -> Assignments:
        """One revision."""
        ...

    def roll_back(self, revision: int | None) -> Assignments:
        """Save the assignments of an earlier revision (the one before the newest) as the next one."""
        ...

    def export_state(self) -> str:
        """The whole state (revisions, applies, peaks, kept logs) as one text, with secrets masked."""
        ...

    def import_file(self, path: str, *, adopt: bool) -> tuple[str, ...]:
        """Read a file that was exported, or a `gpu-assignments.yml` that was edited by hand; lines on what came of it.

        An exported state goes into an empty one as it is; otherwise its newest revision, or what the file says, goes
        into the draft.

        Raises:
            NeedsAnswer: it changes unmanaged containers, and `adopt` does not say that it may.
            UsageError: the file is wrong.
        """
        ...

    def remove_old(self, retention: Retention, *, dry_run: bool = False) -> Removed:
        """Remove old applies, revisions and logs, and give their space back."""
        ...


class Logs(Protocol):
    """Logs of services, as they grow and as they were."""

    def follow(self, key: ServiceKey, window: LogWindow) -> int:
        """Begin to read a service's log; the number of the feed."""
        ...

    def read(self, feed: int) -> LogBatch:
        """What came since the last read."""
        ...

    def close(self, feed: int) -> None:
        """Stop reading a log."""
        ...

    def previous(self, key: ServiceKey) -> tuple[LogLine, ...]:
        """The last lines of the container that this service had before its present one, as the last apply that
        replaced it kept them; empty where there was none. May take time."""
        ...

    def kept(self, apply_id: int) -> dict[str, tuple[str, ...]]:
        """The last lines of the containers that an apply removed, by service."""
        ...


class ComposeFiles(Protocol):
    """What services are made of, as people write it. All of it may take time."""

    def image_names(self) -> tuple[str, ...]:
        """The images that a new service can be made of."""
        ...

    def free_port(self, besides: Collection[int] = ()) -> int:
        """A port that a new service can publish, none of those `besides`."""
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
        """The `docker run` that makes this service's container, with secrets masked."""
        ...

    def create_body(self, key: ServiceKey) -> str:
        """What the engine's create call would take for it, as JSON with secrets masked."""
        ...


class Controller(Protocol):
    """All six."""

    @property
    def watch(self) -> Watch:
        """What the server is like now."""
        ...

    @property
    def draft(self) -> Draft:
        """The assignments as edited."""
        ...

    @property
    def applies(self) -> Applies:
        """Plans and carrying them out."""
        ...

    @property
    def history(self) -> History:
        """What was saved and applied."""
        ...

    @property
    def logs(self) -> Logs:
        """Logs of services."""
        ...

    @property
    def compose_files(self) -> ComposeFiles:
        """What services are made of."""
        ...
