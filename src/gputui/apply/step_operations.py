"""A plan's steps as operations with their undo. After this, nothing is left to decide."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gputui.apply.operations.action import Action, Part
from gputui.apply.operations.await_release import AwaitRelease
from gputui.apply.operations.check_request import CheckRequest
from gputui.apply.operations.check_start import CheckStart
from gputui.apply.operations.commit_image import CommitImage, RemoveImage
from gputui.apply.operations.confirm_gpus import ConfirmGpus
from gputui.apply.operations.connect import Connect
from gputui.apply.operations.create import Create
from gputui.apply.operations.ensure_resources import EnsureNetwork, EnsureVolume
from gputui.apply.operations.keep_log import KeepLog
from gputui.apply.operations.pause import Pause, Unpause
from gputui.apply.operations.remove import Remove
from gputui.apply.operations.rename import Rename
from gputui.apply.operations.set_restart_policy import SetRestartPolicy
from gputui.apply.operations.start import Start
from gputui.apply.operations.stop import PutBack, Stop
from gputui.apply.operations.unlink import Unlink
from gputui.apply.operations.watch import Watch
from gputui.apply.transaction import Operation, Phase, Task, Transaction
from gputui.domain.compose import ComposeProject
from gputui.domain.container import ContainerSpec, lasting_name
from gputui.domain.errors import Refusal
from gputui.domain.message import Message
from gputui.domain.plan import ContainerView, Plan, Step
from gputui.domain.service import ServiceKey
from gputui.domain.serving import HttpProbe
from gputui.domain.text import whole_number
from gputui.planning.changes.spec_edit import with_edits, with_gpus, with_image, with_labels, with_token

STOP_TIMEOUT_S = 30
"""How long a container gets to stop by itself if it sets no timeout (SIGTERM, then SIGKILL)."""

UNDO_STOP_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanInput:
    """The starting point of a step. `spec` is the base of the new container: that of the present one, or the Compose
    file's; `old` re-creates the present container, if there is one.

    `running`: the container counts as running; `paused`: it is paused; `links` are other containers' links to it;
    `steady`: it is not in a restart loop. `probe` is where it answers once it serves, `loading_s` how long that may
    take. `layer_image`: what it wrote outside its volumes is saved in an image of this name. `labels` are added to the
    new container; None removes one.
    """

    spec: ContainerSpec
    old: ContainerSpec | None = None
    running: bool = False
    paused: bool = False
    steady: bool = True
    links: tuple[tuple[str, str], ...] = ()
    probe: HttpProbe | None = None
    loading_s: float = 0.0
    layer_image: str | None = None
    labels: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyOptions:
    """The settings of an apply. `token` marks the containers that it creates; seconds are as in `Watch`;
    `engine_reports`: the engine reports which devices a container requested."""

    operator: str
    reason: Message
    token: str
    settle_s: float
    health_limit_s: float
    engine_reports: bool = True


def make_transaction(
    plan: Plan, inputs: Mapping[ServiceKey, PlanInput], project: ComposeProject | None, options: ApplyOptions
) -> Transaction:
    """The transaction that carries out the plan.

    Raises:
        Refusal: a container cannot be created, because its GPUs are unknown.
    """
    places = {step.service: place for place, step in enumerate(plan.doing)}
    tasks = []
    for step in plan.doing:
        plan_input = inputs.get(step.service)
        tasks.append(
            Task(
                step=step,
                operations=_operations(step, plan_input, plan.revision, project, options),
                after=tuple(places[key] for key in step.after if key in places),
                old_id=step.container_id,
                old_spec=plan_input.old if plan_input else None,
            )
        )
    return Transaction(
        revision=plan.revision,
        operator=options.operator,
        reason=options.reason,
        tasks=tuple(tasks),
        token=options.token,
    )


def _operations(
    step: Step, plan_input: PlanInput | None, revision: int, project: ComposeProject | None, options: ApplyOptions
) -> tuple[Operation, ...]:
    old = plan_input.old if plan_input else None
    if step.action == "stop":
        return _stopped(step, plan_input, old)
    if step.action == "unpause":
        unpause = _op(Unpause(part="old"), "unpause it", "launch", Pause(part="old"), "pause it again")
        return (unpause, *_verification(step, plan_input, "old", options))
    if step.action == "start":
        undo = Stop(part="old", timeout_s=STOP_TIMEOUT_S)
        start = _op(Start(part="old"), "start it", "launch", undo, "stop it again")
        return (start, *_verification(step, plan_input, "old", options))
    if step.action == "restart":
        # A failed start is followed by the undo of the stop, which starts it again.
        check = _op(CheckStart(), "see that it could be started again", "prepare")
        start = _op(Start(part="old"), "start it", "launch")
        return (check, *_stopped(step, plan_input, old), start, *_verification(step, plan_input, "old", options))
    if plan_input is None or step.view is None:
        raise Refusal(f"{step.name} cannot be made: its GPUs or its spec are not known", "assign it GPUs of this host")
    new = new_spec(
        step,
        with_labels(plan_input.spec, plan_input.labels),
        revision=revision,
        operator=options.operator,
        token=options.token,
    )
    if step.action == "create":
        return (
            *_ensured(new, project),
            *_creation(new, step.view, "prepare", options),
            *_launched(step, plan_input, options),
        )
    ensured = _ensured(new, project) if step.from_file else ()
    return (*ensured, *_recreated(step, plan_input, new, options))


def _stopped(step: Step, plan_input: PlanInput | None, old: ContainerSpec | None) -> tuple[Operation, ...]:
    stop = Stop(part="old", timeout_s=_stop_timeout(old))
    back = PutBack(steady=plan_input.steady if plan_input else True)
    release = AwaitRelease(part="old", gpus=step.holds)
    return (
        *_unpaused(plan_input),
        _op(stop, "stop it", "release", back, "start it again"),
        _op(release, "wait for its GPU memory", "release"),
    )


def _unpaused(plan_input: PlanInput | None) -> tuple[Operation, ...]:
    """A paused container ignores the stop signal."""
    if plan_input is None or not plan_input.paused:
        return ()
    return (_op(Unpause(part="old"), "unpause it", "release", Pause(part="old"), "pause it again"),)


def new_spec(step: Step, spec: ContainerSpec, *, revision: int, operator: str, token: str) -> ContainerSpec:
    """The spec of the container that a step creates from this one: other GPUs, budget and arguments, everything else
    unchanged.

    Raises:
        Refusal: a changed argument cannot be put into its command.
    """
    assert step.view is not None
    new = with_gpus(spec, step.view, revision=revision, operator=operator)
    new = with_edits(new, budget_mib=step.budget_mib, budget_env=step.budget_env, edits=step.edits)
    return with_token(new, token)


def _op(do: Action, text: str, phase: Phase, undo: Action | None = None, undo_text: str = "") -> Operation:
    return Operation(do=do, text=text, phase=phase, undo=undo, undo_text=undo_text)


def _stop_timeout(spec: ContainerSpec | None) -> int:
    seconds = whole_number(spec.body.get("StopTimeout"), least=0) if spec else None
    return STOP_TIMEOUT_S if seconds is None else seconds


def _verification(step: Step, plan_input: PlanInput | None, part: Part, options: ApplyOptions) -> tuple[Operation, ...]:
    watch = Watch(
        part=part,
        settle_s=options.settle_s,
        limit_s=options.health_limit_s,
        loading_s=plan_input.loading_s if plan_input else 0.0,
        probe=plan_input.probe if plan_input else None,
    )
    watched = _op(watch, "watch it come up", "launch")
    if step.view is None or step.view.as_written:
        return (watched,)
    nodes = step.view.expected_nodes
    confirm = ConfirmGpus(part=part, gpus=step.view.gpus, nodes=None if nodes is None else tuple(sorted(nodes)))
    return (watched, _op(confirm, "confirm its GPUs", "launch"))


def _creation(spec: ContainerSpec, view: ContainerView, phase: Phase, options: ApplyOptions) -> tuple[Operation, ...]:
    """The new container is created as requested, with its networks, not started."""
    requests = (spec.body.get("HostConfig") or {}).get("DeviceRequests") or []
    check = CheckRequest(device_ids=tuple(requests[-1]["DeviceIDs"]) if view.device_ids else ())
    return (
        _op(Create(spec=spec), f"create {spec.name}", phase, Remove(part="new"), "remove the new container"),
        *(
            _op(Connect(network=name, endpoint=endpoint), f"connect it to {name}", phase)
            for name, endpoint in spec.networks.items()
        ),
        *(
            (_op(check, "check what the engine stored", phase),)
            if options.engine_reports and not view.as_written
            else ()
        ),
    )


def _launched(step: Step, plan_input: PlanInput, options: ApplyOptions) -> tuple[Operation, ...]:
    undo = Stop(part="new", timeout_s=UNDO_STOP_TIMEOUT_S)
    start = _op(Start(part="new"), "start it", "launch", undo, "stop the new container")
    return (start, *_verification(step, plan_input, "new", options))


def _ensured(spec: ContainerSpec, project: ComposeProject | None) -> tuple[Operation, ...]:
    """The project's own networks and volumes that the new container uses are created."""
    if project is None:
        return ()
    host = spec.body.get("HostConfig") or {}
    mounted = {mount.get("Source") for mount in host.get("Mounts") or []}
    mounted |= {str(bind).partition(":")[0] for bind in host.get("Binds") or []}
    joined = {*spec.networks, *spec.body.get("NetworkingConfig", {}).get("EndpointsConfig", {})}
    networks = [
        _op(EnsureNetwork(name=network.name, body=network.body), f"network {network.name}", "prepare")
        for network in project.networks
        if network.name in joined
    ]
    volumes = [
        _op(EnsureVolume(name=volume.name, body=volume.body), f"volume {volume.name}", "prepare")
        for volume in project.volumes
        if volume.name in mounted
    ]
    return (*networks, *volumes)


def _recreated(step: Step, plan_input: PlanInput, new: ContainerSpec, options: ApplyOptions) -> tuple[Operation, ...]:
    """The new container is created beside the old one and takes its place; the old one is removed only once the new one
    is seen running with its GPUs. GPU memory cannot be held twice, so the old one is stopped before the new one
    starts."""
    assert step.view is not None and step.container_id is not None and plan_input.old is not None
    short_id = step.container_id[:12]
    name = lasting_name(plan_input.old.name)  # do not add to a suffix that was left behind
    new_name, old_name = f"{name}.new-{short_id}", f"{name}.old-{short_id}"
    operations: list[Operation] = []
    if plan_input.layer_image:
        image = plan_input.layer_image
        text, back = f"keep what it wrote as the image {image}", f"remove the image {image}"
        operations.append(_op(CommitImage(image=image), text, "prepare", RemoveImage(image=image), back))
        new = with_image(new, image)
    # It refers to containers whose namespaces it uses by name; their new containers only get that name at launch.
    phase: Phase = "launch" if step.shares else "prepare"
    created = _creation(new.named(name if step.shares else new_name), step.view, phase, options)
    operations += () if step.shares else created
    if plan_input.running:
        operations.append(_op(CheckStart(), "see that the old container could be started again", "prepare"))
    operations += _released(plan_input, plan_input.old, old_name, name, step.holds)
    if step.shares:
        operations += created
    else:
        rename = Rename(part="new", name=name)
        back = f"rename the new container to {new_name}"
        operations.append(
            _op(rename, f"rename the new container to {name}", "release", Rename(part="new", name=new_name), back)
        )
    operations += _launched(step, plan_input, options)
    operations.append(_op(KeepLog(), "keep the old container's log", "clear"))
    if plan_input.links:
        names = ", ".join(dict.fromkeys(name for name, _ in plan_input.links))
        operations.append(_op(Unlink(links=plan_input.links), f"take the links of {names} to it away", "clear"))
    operations.append(_op(Remove(part="old"), "remove the old container", "clear"))
    return tuple(operations)


def _tries(policy: Mapping[str, Any]) -> int:
    return whole_number(policy.get("MaximumRetryCount"), least=0) or 0


def _released(
    plan_input: PlanInput, old: ContainerSpec, old_name: str, name: str, holds: tuple[str, ...]
) -> list[Operation]:
    """The old container has released its GPUs and its name."""
    operations: list[Operation] = []
    if plan_input.running:
        operations += _unpaused(plan_input)
        stop = Stop(part="old", timeout_s=_stop_timeout(old))
        back = "start the old container again"
        operations.append(_op(stop, "stop the old container", "release", PutBack(steady=plan_input.steady), back))
        operations.append(_op(AwaitRelease(part="old", gpus=holds), "wait for its GPU memory", "release"))
    policy = (old.body.get("HostConfig") or {}).get("RestartPolicy") or {}
    if policy.get("Name") not in (None, "", "no"):
        # A stopped container with a restart policy would come back with the daemon and take the GPU.
        undo = SetRestartPolicy(part="old", name=policy["Name"], retries=_tries(policy))
        operations.append(
            _op(
                SetRestartPolicy(part="old", name="no"),
                "keep the old container from restarting",
                "release",
                undo,
                "restore its restart policy",
            )
        )
    rename = _op(
        Rename(part="old", name=old_name),
        f"rename the old container to {old_name}",
        "release",
        Rename(part="old", name=name),
        f"rename the old container back to {name}",
    )
    return [*operations, rename]
