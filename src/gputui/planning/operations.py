"""A plan's steps as operations: one engine call each, with its undo. After this nothing is left to decide."""

from collections.abc import Mapping

from gputui.domain.compose import ComposeProject
from gputui.domain.container import ContainerSpec, lasting_name
from gputui.domain.errors import Refusal
from gputui.domain.plan import ContainerView, Operation, Plan, Step, Task, Transaction
from gputui.domain.service import ServiceKey
from gputui.planning.spec_edit import with_edits, with_gpus, with_token

STOP_TIMEOUT_S = 30
"""How long a container gets to stop by itself where it does not say so (SIGTERM, then SIGKILL)."""


def make_transaction(
    plan: Plan,
    specs: Mapping[ServiceKey, ContainerSpec],
    running: Mapping[ServiceKey, bool],
    project: ComposeProject | None,
    *,
    operator: str,
    reason: str,
    token: str,
    settle_s: float,
    health_limit_s: float,
) -> Transaction:
    """The transaction that carries the plan out. `specs` hold, for each step, its present container's spec, or for
    one that is created, that of its Compose file."""
    tasks = [
        _task(step, specs.get(step.service), running.get(step.service, False), project, plan.revision, operator, token)
        for step in plan.doing
    ]
    return Transaction(
        revision=plan.revision,
        operator=operator,
        reason=reason,
        tasks=tuple(tasks),
        token=token,
        settle_s=settle_s,
        health_limit_s=health_limit_s,
    )


def _task(
    step: Step,
    spec: ContainerSpec | None,
    running: bool,
    project: ComposeProject | None,
    revision: int,
    operator: str,
    token: str,
) -> Task:
    if step.action == "stop":
        return Task(step=step, operations=_stop(spec), old_id=step.container_id, old_spec=spec)
    if step.action == "start":
        start = Operation(
            kind="start",
            text="start it",
            target="old",
            undo=_op("stop", "stop it again", "old", timeout_s=STOP_TIMEOUT_S),
        )
        return Task(step=step, operations=(start, *_seen(step.view, "old")), old_id=step.container_id, old_spec=spec)
    if step.action == "restart":
        restart = _op("restart", "restart it", "old", timeout_s=_stop_timeout(spec))
        return Task(step=step, operations=(restart, *_seen(step.view, "old")), old_id=step.container_id, old_spec=spec)
    if spec is None or step.view is None:
        raise Refusal(f"{step.name} cannot be made: its GPUs or its spec are not known", "assign it GPUs of this host")
    new = with_gpus(spec, step.view, revision=revision, operator=operator)
    new = with_edits(new, budget_mib=step.budget_mib, budget_env=step.budget_env, edits=step.edits)
    new = with_token(new, token)
    if step.action == "create":
        return Task(step=step, operations=(*_ensured(spec, project), *_create(new, step.view)))
    assert step.container_id is not None
    return Task(
        step=step,
        operations=_recreate(spec, new, step.view, step.container_id, running),
        old_id=step.container_id,
        old_spec=spec,
    )


def _op(kind: str, text: str, target: str = "new", **arguments: object) -> Operation:
    return Operation(kind=kind, text=text, target=target, arguments=arguments)  # type: ignore[arg-type]


def _stop_timeout(spec: ContainerSpec | None) -> int:
    asked = spec.body.get("StopTimeout") if spec else None
    return int(asked) if asked else STOP_TIMEOUT_S


def _stop(spec: ContainerSpec | None) -> tuple[Operation, ...]:
    back = Operation(kind="put_back", text="start it again", target="old")
    arguments = {"timeout_s": _stop_timeout(spec)}
    return (Operation(kind="stop", text="stop it", target="old", arguments=arguments, undo=back),)


def _seen(view: ContainerView | None, target: str) -> tuple[Operation, ...]:
    watch = _op("watch", "watch it come up", target)
    if view is None:
        return (watch,)
    nodes = sorted(view.expected_nodes) if view.expected_nodes is not None else None
    return (watch, _op("confirm_gpus", "confirm its GPUs", target, gpus=list(view.gpus), nodes=nodes))


def _made(spec: ContainerSpec, view: ContainerView) -> tuple[Operation, ...]:
    """The new container exists as asked for, with its networks, not started."""
    undo = _op("remove", "remove the new container", "new")
    create = Operation(kind="create", text=f"create {spec.name}", spec=spec, undo=undo)
    connects = [
        _op("connect", f"connect it to {name}", network=name, endpoint=endpoint)
        for name, endpoint in spec.networks.items()
    ]
    requests = spec.body.get("HostConfig", {}).get("DeviceRequests") or []
    asked = requests[-1]["DeviceIDs"] if view.device_ids else []
    check = _op("check_request", "check what the engine stored", device_ids=list(asked))
    return (create, *connects, check)


def _ensured(spec: ContainerSpec, project: ComposeProject | None) -> tuple[Operation, ...]:
    """The project's own networks and volumes that the new container uses exist."""
    if project is None:
        return ()
    labels = {"com.docker.compose.project": project.name}
    mounted = {mount.get("Source") for mount in spec.body.get("HostConfig", {}).get("Mounts") or []}
    joined = {*spec.networks, *spec.body.get("NetworkingConfig", {}).get("EndpointsConfig", {})}
    found = []
    for key, name in project.named_networks.items():
        if name in joined:
            made = {**labels, "com.docker.compose.network": key}
            found.append(_op("ensure_network", f"network {name}", name=name, labels=made))
    for key, name in project.named_volumes.items():
        if name in mounted:
            made = {**labels, "com.docker.compose.volume": key}
            found.append(_op("ensure_volume", f"volume {name}", name=name, labels=made))
    return tuple(found)


def _create(spec: ContainerSpec, view: ContainerView) -> tuple[Operation, ...]:
    undo = _op("stop", "stop the new container", "new", timeout_s=10)
    start = Operation(kind="start", text="start it", undo=undo)
    return (*_made(spec, view), start, *_seen(view, "new"))


def _recreate(
    old: ContainerSpec, new: ContainerSpec, view: ContainerView, old_id: str, running: bool
) -> tuple[Operation, ...]:
    """The new container is made beside the old one, takes its place, and only when it is seen to run with its GPUs
    the old one goes. GPU memory cannot be held twice, so the old one is stopped before the new one starts."""
    short = old_id[:12]
    name = lasting_name(old.name)  # a suffix that was left behind is not stacked on
    new_name, old_name = f"{name}.new-{short}", f"{name}.old-{short}"
    policy = (old.body.get("HostConfig") or {}).get("RestartPolicy") or {}
    operations = list(_made(new.named(new_name), view))
    if running:
        operations += [
            Operation(
                kind="stop",
                text="stop the old container",
                target="old",
                arguments={"timeout_s": _stop_timeout(old)},
                undo=Operation(kind="put_back", text="start the old container again", target="old"),
            ),
            _op("await_release", "wait for its GPU memory", "old", limit_s=30),
        ]
    if policy.get("Name") not in (None, "", "no"):
        # A stopped container with a restart policy would come back with the daemon and take the GPU.
        operations.append(
            Operation(
                kind="set_restart_policy",
                text="keep the old container from restarting",
                target="old",
                arguments={"policy": {"Name": "no", "MaximumRetryCount": 0}},
                undo=_op("set_restart_policy", "restore its restart policy", "old", policy=policy),
            )
        )
    operations += [
        Operation(
            kind="rename",
            text=f"rename the old container to {old_name}",
            target="old",
            arguments={"name": old_name},
            undo=_op("rename", f"rename the old container back to {name}", "old", name=name),
        ),
        Operation(
            kind="rename",
            text=f"rename the new container to {name}",
            arguments={"name": name},
            undo=_op("rename", f"rename the new container to {new_name}", "new", name=new_name),
        ),
        Operation(kind="start", text="start it", undo=_op("stop", "stop the new container", "new", timeout_s=10)),
        *_seen(view, "new"),
        _op("keep_log", "keep the old container's log", "old"),
        _op("remove", "remove the old container", "old"),
    ]
    return tuple(operations)
