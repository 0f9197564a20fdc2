"""A service: the workload of one container, and where it runs."""

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
    """The identity of a service: host, Compose project (empty for a plain container), name, replica number from 1."""

    host: str
    project: str
    name: str
    replica: int = 1

    def __str__(self) -> str:
        return f"{self.host}/{self.project}/{self.name}/{self.replica}"

    @classmethod
    def parse(cls, text: str) -> "ServiceKey":
        """The inverse of `str()`."""
        host, project, name, replica = text.rsplit("/", 3)
        return cls(host, project, name, int(replica))

    @property
    def short_name(self) -> str:
        """Its name, with the replica number from the second replica on."""
        return self.name if self.replica == 1 else f"{self.name}#{self.replica}"

    @property
    def full_name(self) -> str:
        """The short name with its project; `/name` for a plain container."""
        return f"{self.project}/{self.short_name}"


Fallback = Literal["never", "ask", "auto"]

RequirementSource = Literal["observed", "weights", "declared", "rule of thumb", "unknown"]


@dataclass(frozen=True, slots=True)
class ClaimRule:
    """How much memory a service claims: a `fraction` of the GPU's `total`, of what is `free` when it starts, or of the
    `rest` that is free after it has loaded `base_mib`."""

    of: Literal["total", "free", "rest"]
    fraction: float
    base_mib: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """The memory on each of its GPUs: `minimum_mib` to run at all, `claim_mib` once running.

    The claim applies to GPUs of `gpu_total_mib`; on others it follows from `rule`, if the service fills a fraction.
    `split` are the shares of its GPUs in their order, if they are not equal. `not_counted` describes further memory
    that is not included; `weights_mib` are its weights on each GPU according to the model's files.
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
    """One changed argument of a service, with its reason; `value` None removes the argument."""

    argument: str
    value: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypedEdit:
    """What a user typed for services; None leaves the value unchanged."""

    gpus: str | None = None
    budget: str | None = None
    priority: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service as it is assigned, as requested from the engine, and as it actually runs.

    `origin` is `compose` for a service of a Compose file, `found` for an unmanaged container. `requested` is `None` if
    there is no container, or its GPUs are unknown. `files` are those of its model, as far as they were read;
    `unmounted` is the path of a model that no volume covers, `smallest_gpu_mib` the total of the smallest assigned GPU.
    `contradiction` are contradicting statements about GPUs in its Compose file, `file_differences` the deviations from
    that file; `tells_file_budget`: its container has the budget of the file. `depends_on` are services of its project,
    `fallback` what to do if one of its GPUs is missing at startup, `mechanism` the GPU injection method that its file
    asks for. `sees_all_devices`: its container, or the one that its file describes, is `privileged` or mounts /dev.
    `priority_set` is the priority that was assigned here, which overrides that of its file. `loading` is the progress
    of a recently started container. `is_saved`: it has a saved assignment, even if nobody edited it. `is_unknown`: the
    engine has not reported yet whether it has a container. `shares_name`: a service of another project on the host has
    the same name. `any_gpus` is the number of GPUs that its file requests without naming any, as long as nobody chose
    some: `assigned` are then those that a strategy would choose.
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

    def assigned_text(self, labels: str) -> str:
        """The labels of its GPUs; `any 2: 0,1` where its file asks for a number of GPUs and nobody chose any."""
        return labels if self.any_gpus is None else f"any {self.any_gpus}: {labels}"

    @property
    def name(self) -> str:
        """The display name, which is unique on a host."""
        return self.key.full_name if self.shares_name else self.key.short_name

    def was_called(self, name: str) -> bool:
        """Whether a recorded name refers to this service: another service of that name may have been added later, or
        removed since."""
        return name in (self.name, self.key.full_name)

    @property
    def state(self) -> str:
        """The container's state, or `not created`; the last known state if the engine does not answer."""
        if self.container is None:
            return "unknown" if self.is_unknown else "not created"
        return f"last seen {self.container.state}" if self.container.is_last_seen else self.container.state

    @property
    def prediction_error(self) -> float | None:
        """The relative error of its predicted weights against what it reported; None if either is unknown."""
        predicted = self.requirement.weights_mib
        measured = self.measured.weights_mib if self.measured else None
        return None if predicted is None or not measured else round((predicted - measured) / measured, 4)

    @property
    def running(self) -> bool:
        """Whether its container runs."""
        return self.container is not None and self.container.running

    @property
    def lives(self) -> bool:
        """Whether its container runs, is paused, or restarts by itself."""
        return self.container is not None and self.container.lives


def distinct_names(keys: Collection[ServiceKey]) -> dict[ServiceKey, str]:
    """A unique name for each of these services: with its project if the short name is ambiguous."""
    counts = Counter(key.short_name for key in keys)
    return {key: key.full_name if counts[key.short_name] > 1 else key.short_name for key in keys}


def called(services: Sequence[Service], name: str) -> Service:
    """The service of that name; `project/name` distinguishes services of the same name.

    Raises:
        UsageError: no service or several services have that name.
    """
    matches = [service for service in services if name in (service.key.short_name, service.key.full_name)]
    if len(matches) == 1:
        return matches[0]
    if not matches:
        names = ", ".join(service.name for service in services) or "none"
        raise UsageError(f"there is no service “{name}”", f"services: {names}")
    raise UsageError(f"several services are called “{name}”", f"say {' or '.join(service.name for service in matches)}")
