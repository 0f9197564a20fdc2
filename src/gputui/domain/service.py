"""A service: one container's worth of work, and where it runs."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from gputui.domain.container import Container
from gputui.domain.errors import UsageError
from gputui.domain.gpu_variables import Contradiction
from gputui.domain.injection import MechanismName
from gputui.domain.launch import Launch
from gputui.domain.log import Loading
from gputui.domain.model import ModelFiles
from gputui.domain.observation import Measured
from gputui.domain.serving import Serving


@dataclass(frozen=True, slots=True, order=True)
class ServiceKey:
    """Which service: host, Compose project (empty for a plain container), name, replica number from 1."""

    host: str
    project: str
    name: str
    replica: int = 1

    def __str__(self) -> str:
        return f"{self.host}/{self.project}/{self.name}/{self.replica}"

    @classmethod
    def parse(cls, text: str) -> "ServiceKey":
        """The key that `str()` wrote."""
        host, project, name, replica = text.rsplit("/", 3)
        return cls(host, project, name, int(replica))

    @property
    def short_name(self) -> str:
        """Its name, with the replica number from the second on."""
        return self.name if self.replica == 1 else f"{self.name}#{self.replica}"

    @property
    def full_name(self) -> str:
        """The same with its project; `/name` for a plain container."""
        return f"{self.project}/{self.short_name}"


Fallback = Literal["never", "ask", "auto"]

RequirementSource = Literal["observed", "weights", "declared", "rule of thumb", "unknown"]


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """How much a service takes of a GPU: a `fraction` of its `total`, of what is `free` when it starts, or of the
    `rest` that is free after it loaded `base_mib`."""

    of: Literal["total", "free", "rest"]
    fraction: float
    base_mib: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """Memory on each of its GPUs: `minimum_mib` to run at all, `claim_mib` once running.

    The claim holds for GPUs of `gpu_total_mib`; on others it follows from `rule`, where the service fills a fraction.
    `split` are the parts of the whole that its GPUs get, in their order, where they are not equal. `not_counted` is
    what it takes beside, in words; `weights_mib` are its weights on each GPU by the model's files.
    """

    minimum_mib: int | None = None
    claim_mib: int | None = None
    source: RequirementSource = "unknown"
    rule: ClaimRule | None = None
    gpu_total_mib: int | None = None
    split: tuple[float, ...] = ()
    not_counted: tuple[str, ...] = ()
    weights_mib: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One changed argument of a service, with its reason; `value` None takes the argument away."""

    argument: str
    value: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedEdit:
    """What a person typed for services; None leaves it as it is."""

    gpus: str | None = None
    budget: str | None = None
    priority: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as it is assigned, as the engine was asked, and as it really runs.

    `origin` is `compose` for one that a Compose file names, `found` for any other container. `requested` is `None`
    where there is no container or what it was given cannot be told. `files` are its model's, as far as they were read;
    `unmounted` is the path of a model that no volume covers, `smallest_gpu_mib` the total of the smallest GPU that it
    is assigned. `contradiction` is what its Compose file says twice and differently about its GPUs, `file_differences`
    what is not as the file says; `tells_file_budget`: its container is told the budget that the file says.
    `depends_on` are services of its project, `fallback` is what is done when a GPU of it
    is gone when it starts, `mechanism` the way in which its file wants its GPUs given. `sees_all_devices`: its
    container, or the one that its file describes, is `privileged` or has /dev mounted. `priority_set` is the priority
    that was assigned here, over that of its file. `loading` is how far a container is that started a short while ago.
    `is_saved`: it has a saved assignment, be it one that nobody edited. `is_unknown`: the engine has not told yet
    whether it has a container.
    `shares_name`: another service of the host has its name too, in another project. `any_gpus` is the number of GPUs
    that its file asks for where it names none and nobody chose: `assigned` are then those that a strategy would choose.
    """

    key: ServiceKey
    origin: Literal["compose", "found"]
    adopted: bool
    backend: str
    model: str | None
    image: str
    enabled: bool
    assigned: tuple[str, ...]
    requested: tuple[str, ...] | None
    running_on: tuple[str, ...]
    requirement: Requirement
    launch: Launch = field(default_factory=Launch)
    serving: Serving = field(default_factory=Serving)
    files: ModelFiles | None = None
    measured: Measured | None = None
    declared_mib: int | None = None
    unmounted: str | None = None
    smallest_gpu_mib: int | None = None
    any_gpus: int | None = None
    contradiction: Contradiction | None = None
    priority: int = 0
    priority_set: int | None = None
    isolate: bool = False
    has_budget: bool = False
    budget_mib: int | None = None
    budget_env: str | None = "VRAM_BUDGET_GB"
    edits: tuple[Edit, ...] = ()
    drift: tuple[str, ...] = ()
    container: Container | None = None
    depends_on: tuple[str, ...] = ()
    file_differences: tuple[str, ...] = ()
    tells_file_budget: bool = True
    fallback: Fallback = "never"
    mechanism: MechanismName | None = None
    sees_all_devices: bool = False
    privileged: bool = False
    not_carried: tuple[str, ...] = ()
    loading: Loading | None = None
    shares_name: bool = False
    is_saved: bool = False
    is_unknown: bool = False

    @property
    def name(self) -> str:
        """What a person calls it: no two services of a host are called the same."""
        return self.key.full_name if self.shares_name else self.key.short_name

    def was_called(self, name: str) -> bool:
        """Whether something that was written down is about this service: what shares its name may have come later, or
        be gone by now."""
        return name in (self.name, self.key.full_name)

    @property
    def state(self) -> str:
        """The container's state, or `not created`; what the engine does not tell now is as it was last seen."""
        if self.container is None:
            return "unknown" if self.is_unknown else "not created"
        return f"last seen {self.container.state}" if self.container.is_last_seen else self.container.state

    @property
    def prediction_error(self) -> float | None:
        """How far its predicted weights are off, as a part of what it said itself; None where either is not known."""
        predicted = self.requirement.weights_mib
        measured = self.measured.weights_mib if self.measured else None
        return None if predicted is None or not measured else round((predicted - measured) / measured, 4)

    @property
    def running(self) -> bool:
        """A container of it runs."""
        return self.container is not None and self.container.running

    @property
    def lives(self) -> bool:
        """A container of it runs, is held still, or comes back by itself."""
        return self.container is not None and self.container.lives


def told_apart(keys: Collection[ServiceKey]) -> dict[ServiceKey, str]:
    """What each of these is called: with its project, where its name alone would mean several."""
    counts = Counter(key.short_name for key in keys)
    return {key: key.full_name if counts[key.short_name] > 1 else key.short_name for key in keys}


def called(services: Sequence[Service], name: str) -> Service:
    """The service of that name; `project/name` tells apart what has the same name.

    Raises:
        UsageError: there is none, or there are several.
    """
    hits = [service for service in services if name in (service.key.short_name, service.key.full_name)]
    if len(hits) == 1:
        return hits[0]
    if not hits:
        names = ", ".join(service.name for service in services) or "none"
        raise UsageError(f"there is no service “{name}”", f"services: {names}")
    raise UsageError(f"several services are called “{name}”", f"say {' or '.join(service.name for service in hits)}")
