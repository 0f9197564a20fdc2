"""Which services there are: what Compose files name, what runs on the engine, and what was assigned, joined."""

from collections.abc import Sequence

from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.compose import ComposeProject, ComposeService
from gputui.domain.container import Container, is_passing, lasting_name
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.service import Requirement, Service, ServiceKey
from gputui.domain.text import mask_command
from gputui.planning.given_gpus import find_gpu, memory_on, requested_gpus, running_on, uses_gpus

COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
COMPOSE_NUMBER = "com.docker.compose.container-number"
COMPOSE_ONEOFF = "com.docker.compose.oneoff"

_BACKENDS = (
    ("vllm", "vllm"),
    ("sglang", "sglang"),
    ("tensorrt", "tensorrt_llm"),
    ("trtllm", "tensorrt_llm"),
    ("text-generation-inference", "tgi"),
    ("llama.cpp", "llama_cpp"),
    ("llama-cpp", "llama_cpp"),
    ("llama-server", "llama_cpp"),
    ("pytorch", "pytorch"),
    ("torch", "pytorch"),
)


def backend_of(image: str, command: Sequence[str] = ()) -> str:
    """The serving program that image and command name, else `generic`."""
    text = " ".join((image, *command)).lower()
    return next((backend for mark, backend in _BACKENDS if mark in text), "generic")


def model_of(command: Sequence[str]) -> str | None:
    """The model that a command line names with one of the usual options."""
    for place, word in enumerate(command):
        name, _, value = word.partition("=")
        is_module = name == "-m" and place > 0 and "python" in command[place - 1]
        if name in ("--model", "--model-path", "--model-id", "-m", "--served-model-name") and not is_module:
            if value:
                return value
            if place + 1 < len(command):
                return command[place + 1]
        if word == "serve" and place + 1 < len(command) and not command[place + 1].startswith("-"):
            return command[place + 1]
    return None


def key_of(container: Container, host: str) -> ServiceKey:
    """The service that a container belongs to, by its Compose labels, else its name."""
    project = container.labels.get(COMPOSE_PROJECT, "")
    name = container.labels.get(COMPOSE_SERVICE, "")
    if not project or not name:
        return ServiceKey(host, "", lasting_name(container.name))
    number = container.labels.get(COMPOSE_NUMBER, "1")
    return ServiceKey(host, project, name, int(number) if number.isdigit() else 1)


def join_services(
    *,
    host: str,
    gpus: Sequence[Gpu],
    readings: Sequence[Reading],
    containers: Sequence[Container],
    project: ComposeProject | None,
    assignments: Assignments,
) -> tuple[Service, ...]:
    """Every service that uses GPUs, by project and name.

    A service without a saved assignment is assigned what its container was asked for, else what its Compose file
    says, else nothing.
    """
    by_key: dict[ServiceKey, Container] = {}
    # While a service is recreated, its old or its new container stands for it where none has its name.
    for container in sorted(containers, key=lambda one: (is_passing(one.name), not one.running, one.created_at)):
        if container.labels.get(COMPOSE_ONEOFF) != "True":
            by_key.setdefault(key_of(container, host), container)
    services: list[Service] = []
    named: set[ServiceKey] = set()
    for declared in project.services if project else ():
        assert project is not None
        keys = [key for key in by_key if (key.project, key.name) == (project.name, declared.name)]
        for key in keys or [ServiceKey(host, project.name, declared.name)]:
            named.add(key)
            found = by_key.get(key)
            saved = assignments.of(key)
            if declared.uses_gpus or (found and uses_gpus(found)) or (saved and saved.gpus):
                services.append(_service(key, declared, found, saved, gpus, readings))
    for key, container in by_key.items():
        saved = assignments.of(key)
        on_gpu = bool(running_on(container, readings))
        if key not in named and (uses_gpus(container) or on_gpu or (saved and saved.adopted)):
            services.append(_service(key, None, container, saved, gpus, readings))
    return tuple(sorted(services, key=lambda service: service.key))


def _service(
    key: ServiceKey,
    declared: ComposeService | None,
    container: Container | None,
    saved: Assignment | None,
    gpus: Sequence[Gpu],
    readings: Sequence[Reading],
) -> Service:
    requested = requested_gpus(container, gpus) if container else None
    adopted = bool(saved and saved.adopted)
    enabled = container.running or container.state == "restarting" if container else declared is not None
    on = running_on(container, readings) if container else ()
    assigned = requested if requested is not None else declared_gpus(declared, gpus) or on
    if saved and saved.adopted:
        assigned, enabled = saved.gpus, saved.enabled
    command = container.command if container else mask_command(declared.body.get("Cmd") or ()) if declared else ()
    image = container.image if container else declared.image if declared else ""
    return Service(
        key=key,
        origin="compose" if declared else "found",
        adopted=adopted,
        backend=(declared.backend if declared else None) or backend_of(image, command),
        model=(declared.model if declared else None) or model_of(command),
        image=image,
        enabled=enabled,
        assigned=assigned,
        requested=requested,
        running_on=on,
        requirement=requirement(declared, container, readings),
        budget_mib=saved.budget_mib if saved and saved.adopted else None,
        budget_env=declared.budget_env if declared else "VRAM_BUDGET_GB",
        edits=saved.edits if saved and saved.adopted else (),
        drift=drift(requested, on, gpus),
        container=container,
        not_carried=declared.not_carried if declared else (),
    )


def declared_gpus(declared: ComposeService | None, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """The GPUs that a Compose file names; one that is gone keeps the name it was written with."""
    if declared is None:
        return ()
    whole = [gpu.uuid for gpu in gpus if gpu.assignable]
    if "all" in declared.gpus or declared.gpu_count == -1:
        return tuple(whole)
    if declared.gpu_count is not None:
        return tuple(whole[: declared.gpu_count])
    found = [(find_gpu(gpus, name), name) for name in declared.gpus]
    return tuple(gpu.uuid if gpu else name for gpu, name in found)


def requirement(
    declared: ComposeService | None, container: Container | None, readings: Sequence[Reading]
) -> Requirement:
    """What the service needs on each of its GPUs.

    What it is seen to hold counts as observed. While it still loads that is less than it will need, so a declared
    figure that is larger wins.
    """
    seen = [memory_on(container, reading) for reading in readings] if container else []
    observed = max((memory for memory in seen if memory is not None), default=None)
    written = declared.vram_mib if declared else None
    if observed is not None and (written is None or observed >= written):
        return Requirement(minimum_mib=observed, claim_mib=observed, source="observed")
    if written is not None:
        return Requirement(minimum_mib=written, claim_mib=written, source="declared")
    return Requirement()


def drift(requested: tuple[str, ...] | None, on: tuple[str, ...], gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """Where what was asked of the engine and what is really there disagree. No process yet is no drift."""
    if requested is None:
        return ()
    labels = {gpu.uuid: gpu.label for gpu in gpus}
    strays = [labels.get(uuid, uuid) for uuid in on if uuid not in requested]
    return tuple(f"a process of it runs on GPU {label}, which it was not given" for label in strays)
