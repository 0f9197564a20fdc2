"""The operations that carry a step out: each is one call to the engine, or one look at what came of it.

`part` names the container that an operation is about by its part in the step: the `old` one that the step starts from,
or the `new` one that it makes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gputui.domain.container import ContainerSpec

Part = Literal["old", "new"]

Phase = Literal["prepare", "release", "launch", "clear"]
"""`prepare`: the new container is made, nothing is touched. `release`: the old one lets go of its GPUs and its name.
`launch`: the new one is started and seen to be well. `clear`: the old one is removed; nothing can fail it any more."""

PHASES: tuple[Phase, ...] = ("prepare", "release", "launch", "clear")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitImage:
    """Keep what the old container wrote outside its volumes, as an image."""

    image: str
    part: Part = "old"
    kind: Literal["commit_image"] = "commit_image"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImage:
    """Take such an image away again."""

    image: str
    part: Part = "old"
    kind: Literal["remove_image"] = "remove_image"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureNetwork:
    """The project's network exists; `body` is that of the engine's create call."""

    name: str
    body: Mapping[str, Any] = field(default_factory=dict)
    part: Part = "new"
    kind: Literal["ensure_network"] = "ensure_network"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsureVolume:
    """The project's volume exists; `body` is that of the engine's create call."""

    name: str
    body: Mapping[str, Any] = field(default_factory=dict)
    part: Part = "new"
    kind: Literal["ensure_volume"] = "ensure_volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Make the new container."""

    spec: ContainerSpec
    part: Part = "new"
    kind: Literal["create"] = "create"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """Connect it to one more network."""

    network: str
    endpoint: Mapping[str, Any] = field(default_factory=dict)
    part: Part = "new"
    kind: Literal["connect"] = "connect"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """Look whether the engine stored the request for these GPUs; some drop it silently."""

    device_ids: tuple[str, ...]
    part: Part = "new"
    kind: Literal["check_request"] = "check_request"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Stop a container; by force after `timeout_s`."""

    part: Part
    timeout_s: int
    kind: Literal["stop"] = "stop"


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitRelease:
    """Wait until a container's processes left its GPUs and their memory came back, at most `limit_s`."""

    part: Part
    gpus: tuple[str, ...] = ()
    limit_s: float = 30.0
    kind: Literal["await_release"] = "await_release"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRestartPolicy:
    """Change the restart policy of a container that does not run."""

    part: Part
    name: str
    retries: int = 0
    kind: Literal["set_restart_policy"] = "set_restart_policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rename:
    """Give a container another name."""

    part: Part
    name: str
    kind: Literal["rename"] = "rename"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Start a container."""

    part: Part
    kind: Literal["start"] = "start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Stop and start a container in one call; what gputui 0.1 put on record."""

    part: Part
    timeout_s: int
    kind: Literal["restart"] = "restart"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Hold a running container still."""

    part: Part
    kind: Literal["pause"] = "pause"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpause:
    """Let a container go on that was held still."""

    part: Part
    kind: Literal["unpause"] = "unpause"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStart:
    """See that a container could be started again: all that it needs is there. Nothing is stopped before."""

    part: Part = "old"
    kind: Literal["check_start"] = "check_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlink:
    """Take the links of other containers to this one away (`--link`): with it they would keep them from starting.
    `links` are (container, alias)."""

    links: tuple[tuple[str, str], ...]
    part: Part = "old"
    kind: Literal["unlink"] = "unlink"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """Where a serving program answers once it serves: a port inside the container, and a path.

    `proven`: the old container was seen to answer there, so the new one has to.
    """

    port: int
    path: str
    proven: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """See a container come up: healthy, or answering, or, where it has neither, running for `settle_s`.

    For `loading_s` a failing healthcheck is taken for a model that loads; after `limit_s` it has failed.
    """

    part: Part
    settle_s: float
    limit_s: float
    loading_s: float = 0.0
    probe: HttpProbe | None = None
    kind: Literal["watch"] = "watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmGpus:
    """See that a container has these GPUs and no other. `nodes` None: its device nodes cannot be told in advance."""

    part: Part
    gpus: tuple[str, ...]
    nodes: tuple[str, ...] | None
    kind: Literal["confirm_gpus"] = "confirm_gpus"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepLog:
    """Keep the last lines of a container's log."""

    part: Part = "old"
    kind: Literal["keep_log"] = "keep_log"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Remove a container; its volumes stay."""

    part: Part
    kind: Literal["remove"] = "remove"


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """The old container runs again, made anew from its spec where somebody removed it. `steady`: it ran without falling
    before, so it has to be seen to do so."""

    part: Part = "old"
    steady: bool = True
    kind: Literal["put_back"] = "put_back"


Action = (
    CommitImage
    | RemoveImage
    | EnsureNetwork
    | EnsureVolume
    | Create
    | Connect
    | CheckRequest
    | Stop
    | AwaitRelease
    | SetRestartPolicy
    | Rename
    | Start
    | Restart
    | Pause
    | Unpause
    | CheckStart
    | Unlink
    | Watch
    | ConfirmGpus
    | KeepLog
    | Remove
    | PutBack
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is done, in words to read, and what takes it back; None where nothing has to be."""

    do: Action
    text: str
    phase: Phase
    undo: Action | None = None
    undo_text: str = ""

    @property
    def leaves(self) -> bool:
        """Where it cannot be done at the end, something is left over that a person has to clear up."""
        return isinstance(self.do, (Remove, Unlink))
