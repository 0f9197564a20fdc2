"""The control room: all that a screen or a command line may ask for. What crosses it are frozen values."""

from collections.abc import Callable, Collection, Sequence
from typing import Literal, Protocol

from gputui.domain.assignment import Assignments
from gputui.domain.compose import FileEdit, NewService
from gputui.domain.event import ApplyEvent, ApplyRecord, Finish
from gputui.domain.finding import Check
from gputui.domain.gpu import ProcessSignal
from gputui.domain.gpu_details import GpuHistory, LinkTraffic
from gputui.domain.log import LogBatch, LogLine, LogWindow
from gputui.domain.memory import GpuRoom
from gputui.domain.plan import Plan
from gputui.domain.retention import Removed, Retention
from gputui.domain.service import Fallback, ServiceKey, TypedEdit
from gputui.domain.snapshot import Snapshot
from gputui.domain.strategy import StrategyName
from gputui.domain.suggestion import Suggestion


class ControlRoom(Protocol):
    """Everything that can be seen and done. Calls that may take time say so; the others return at once."""

    def start(self) -> None:
        """Begin to watch GPUs, engine and state; what is begun already goes on."""
        ...

    def wait_until_seen(self, limit_s: float, *, engine: bool = True) -> Snapshot:
        """Wait for the first readings and the engine's first answer, at most `limit_s`."""
        ...

    def close(self) -> None:
        """Stop watching."""
        ...

    def snapshot(self) -> Snapshot:
        """What is known now."""
        ...

    def on_change(self, listener: Callable[[Snapshot], None]) -> None:
        """Call the listener, from another thread, with every new snapshot."""
        ...

    def rescan(self) -> None:
        """Look for new GPUs and read the Compose files again."""
        ...

    def history(self, uuid: str) -> GpuHistory:
        """The last ten minutes of one GPU."""
        ...

    def traffic(self, uuid: str) -> LinkTraffic | None:
        """What goes over a GPU's links now; None where that cannot be told. It takes a moment to measure."""
        ...

    def check(self, keys: Sequence[ServiceKey], typed: TypedEdit) -> None:
        """Whether this could be edited; nothing is, and nobody is asked.

        Raises:
            UsageError: no such GPU or service, or no value.
            Refusal: the engine cannot do it.
        """
        ...

    def edit(self, keys: Sequence[ServiceKey], typed: TypedEdit, *, adopt: bool) -> None:
        """Edit the draft: the services get these GPUs (`0,2`, UUIDs, `none`, or `auto`), this VRAM budget (`3.5GiB`, or
        `none`) and this priority (`5`, or `none` for that of the Compose file). All of it is done or nothing, and one
        undo takes it back.

        Raises:
            NeedsAnswer: a container was found and `adopt` does not say that it may be taken over. So do all edits.
            UsageError: no such GPU or service, or no value.
        """
        ...

    def toggle_gpu(self, keys: Sequence[ServiceKey], gpu: str, *, adopt: bool) -> None:
        """Edit the draft: append this GPU (label or UUID), or take it away."""
        ...

    def set_enabled(self, keys: Sequence[ServiceKey], enabled: bool, *, adopt: bool) -> None:
        """Edit the draft: the service is to run, or not."""
        ...

    def room_for(self, keys: Sequence[ServiceKey]) -> tuple[GpuRoom, ...]:
        """What each GPU would have left with all of these services on it, as the draft is."""
        ...

    def set_arguments(
        self, keys: Sequence[ServiceKey], changes: Sequence[tuple[str, str | None]], *, adopt: bool
    ) -> None:
        """Edit the draft: arguments of the services' commands, as one edit."""
        ...

    def suggest(self, strategy: StrategyName, reserve_mib: int = 0, *, adopt: bool = False) -> Suggestion:
        """What a strategy would assign, with `reserve_mib` kept free on every GPU; `adopt`: to containers that were
        only found, too. Changes nothing. May take time."""
        ...

    def take_suggestion(self, suggestion: Suggestion, *, adopt: bool) -> None:
        """Edit the draft, in one step: the services get what a strategy suggests for them."""
        ...

    def undo(self) -> bool:
        """Take one edit back; whether there was one."""
        ...

    def redo(self) -> bool:
        """Make an edit again that was taken back; whether there was one."""
        ...

    def keep_mine(self) -> None:
        """Where somebody saved another assignment of a service that is edited here, the edits here hold."""
        ...

    def take_theirs(self) -> None:
        """Where somebody saved another assignment of a service that is edited here, theirs holds."""
        ...

    def save(self, reason: str) -> Assignments:
        """Save the draft as the next revision, with its files. May take time.

        Raises:
            Conflict: somebody saved another assignment of a service that is edited here.
            Unreachable: without an engine there is no state.
        """
        ...

    def plan(self, only: Sequence[str] = (), *, refresh: bool = False, seen: Snapshot | None = None) -> Plan:
        """What an apply of the draft would do, now or as it was `seen`; `refresh`: also to what differs from its
        Compose file."""
        ...

    def look_inside(self, limit_s: float) -> None:
        """Wait, at most `limit_s`, until it was seen what the containers of adopted services really have."""
        ...

    def doctor(self) -> tuple[Check, ...]:
        """Look at everything that a container's GPU depends on. It may take a moment."""
        ...

    def find_out(self, plan: Plan) -> None:
        """Find out what this plan needs to know of the engine and what it does not tell by itself; then it has to be
        made again. To be called before a plan is shown that may be carried out. It may take a moment."""
        ...

    def preview(self, plan: Plan) -> Plan:
        """The plan with every field that changes in each container, and what it would lose. May take time."""
        ...

    def export_state(self) -> str:
        """The whole state (revisions, applies, peaks, kept logs) as one text, with secrets masked. May take time."""
        ...

    def take_in(self, path: str, *, adopt: bool) -> tuple[str, ...]:
        """Read a file that was exported, or a `gpu-assignments.yml` that was edited by hand; lines on what came of it.

        An exported state goes into an empty one as it is; otherwise its newest revision, or what the file says, goes
        into the draft.

        Raises:
            NeedsAnswer: it changes containers that gputui found, and `adopt` does not say that it may.
            UsageError: the file is wrong.
        """
        ...

    def lifecycle_plan(self, names: Sequence[str], action: Literal["restart", "start", "stop"]) -> Plan:
        """What restarting, starting or stopping these services would do."""
        ...

    def apply(
        self, plan: Plan, reason: str, *, force: bool = False, keep_layers: frozenset[ServiceKey] = frozenset()
    ) -> int:
        """Start to carry a plan out in a process of its own; its number. May take time.

        Of the services in `keep_layers`, what their containers wrote outside volumes is kept as an image.

        Raises:
            Refusal: a finding stops it.
            Conflict: another apply is running, or one was cut off.
        """
        ...

    def accept(self) -> ApplyRecord | None:
        """A person looked after what such an apply left: it is settled as it is."""
        ...

    def fallbacks(self, policies: frozenset[Fallback]) -> tuple[str, ...]:
        """What falling back would do, a line for each service of these policies whose GPU was gone at the last
        apply, and that fits elsewhere."""
        ...

    def fall_back(self, policies: frozenset[Fallback]) -> int | None:
        """Do so, as a revision and an apply of its own; its number, None where there is nothing to do. May take
        time."""
        ...

    def events(self, apply_id: int, after: int = 0) -> tuple[ApplyEvent, ...]:
        """What an apply reported beyond event `after`."""
        ...

    def record(self, apply_id: int) -> ApplyRecord:
        """How an apply stands."""
        ...

    def kept_logs(self, apply_id: int) -> dict[str, tuple[str, ...]]:
        """The last lines of the containers that an apply removed, by service."""
        ...

    def applies(self, limit: int = 100) -> tuple[ApplyRecord, ...]:
        """The newest applies, newest first."""
        ...

    def revisions(self, limit: int = 100) -> tuple[Assignments, ...]:
        """The newest revisions, newest first."""
        ...

    def revision(self, number: int) -> Assignments:
        """One revision."""
        ...

    def remove_old(self, retention: Retention, *, dry_run: bool = False) -> Removed:
        """Remove old applies, revisions and logs, and give their space back. May take time."""
        ...

    def roll_back(self, revision: int | None) -> Assignments:
        """Save the assignments of an earlier revision (the one before the newest) as the next one. May take time."""
        ...

    def signal(self, pid: int, start_time: int | None, name: ProcessSignal) -> None:
        """Send a signal to a process on a GPU, known by its pid and when it started.

        Raises:
            Refusal: it is another by now, or somebody else's.
        """
        ...

    def cancel(self, apply_id: int) -> None:
        """Have an apply that runs taken back; it ends as one that failed.

        Raises:
            Refusal: it does not run any more.
        """
        ...

    def usual_start_s(self, key: ServiceKey) -> float | None:
        """Seconds that this service usually takes until it serves: as it was seen at earlier applies, else by the size
        of its model; None where nothing is known."""
        ...

    def command_of(self, key: ServiceKey) -> str:
        """The `docker run` that makes this service's container, with secrets masked. May take time."""
        ...

    def spec_of(self, key: ServiceKey) -> str:
        """What the engine's create call would take for it, as JSON with secrets masked. May take time."""
        ...

    def shell_command(self, key: ServiceKey) -> tuple[str, ...]:
        """The command line that opens a shell in this service's container.

        Raises:
            Refusal: it does not run, or there is no program for it on this machine.
        """
        ...

    def image_names(self) -> tuple[str, ...]:
        """The images that a new service can be made of. May take time."""
        ...

    def free_port(self, besides: Collection[int] = ()) -> int:
        """A port that a new service can publish, none of those `besides`."""
        ...

    def propose_service(self, service: NewService) -> FileEdit:
        """The Compose file with a new service in it; nothing is written.

        Raises:
            Refusal: there is no Compose file.
            UsageError: something of the service is wrong.
        """
        ...

    def write_service(self, edit: FileEdit) -> None:
        """Write what was proposed. May take time.

        Raises:
            Conflict: the file was changed meanwhile.
        """
        ...

    def unsettled(self) -> ApplyRecord | None:
        """The newest apply, where it was cut off or left something that could not be taken back."""
        ...

    def finish(self, how: Finish) -> int | None:
        """Go on with such an apply, or take back what it left, in a process of its own; its number, None where there is
        none.

        Raises:
            Refusal: it cannot be gone on with, for it was being taken back already.
        """
        ...

    def follow_log(self, key: ServiceKey, window: LogWindow) -> int:
        """Begin to read a service's log; the number of the feed."""
        ...

    def previous_log(self, key: ServiceKey) -> tuple[LogLine, ...]:
        """The last lines of the container that this service had before its present one, as the last apply that
        replaced it kept them; empty where there was none. May take time."""
        ...

    def read_log(self, feed: int) -> LogBatch:
        """What came since the last read."""
        ...

    def close_log(self, feed: int) -> None:
        """Stop reading a log."""
        ...
