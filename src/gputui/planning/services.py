"""The list of services: Compose files, containers and saved assignments, joined."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from gputui.domain import compose_labels
from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.compose import ComposeProject, ComposeService
from gputui.domain.container import (
    LABEL_GPUS,
    LABEL_PROBE,
    Container,
    ImageFacts,
    Inside,
    is_passing,
    lasting_name,
    sees_all_devices,
)
from gputui.domain.errors import Refusal
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.gpu_variables import Contradiction, cuda_fault, too_few_visible
from gputui.domain.launch import Launch, variables_in
from gputui.domain.log import Loading
from gputui.domain.model import ModelFiles
from gputui.domain.observation import Measured, PeakKey
from gputui.domain.service import Edit, Service, ServiceKey, distinct_names
from gputui.domain.serving import Serving
from gputui.domain.text import clean, moment, whole_number
from gputui.planning.backends.backend import Backend
from gputui.planning.backends.registry import backend_of, is_official, named, version_of
from gputui.planning.changes.argument_edit import with_argument
from gputui.planning.changes.drift import drift
from gputui.planning.changes.file_difference import file_differences, tells_file_budget
from gputui.planning.command_options import is_unknown_program, served_line
from gputui.planning.given_gpus import find_gpu, has_ignored_request, requested_gpus, use_by_container, uses_gpus
from gputui.planning.needs.budget import DEFAULT_VARIABLE, environment_budget
from gputui.planning.needs.model_name import model_of
from gputui.planning.needs.model_path import ModelPlace, place_of
from gputui.planning.needs.observations import peak_key
from gputui.planning.needs.requirement import Evidence, requirement
from gputui.planning.placement.open_requests import Tried, chosen_gpus, tried


def key_of(container: Container, host: str) -> ServiceKey:
    """The service that a container belongs to, by its Compose labels, else by its name."""
    project = container.labels.get(compose_labels.PROJECT, "")
    name = container.labels.get(compose_labels.SERVICE, "")
    if not project or not name:
        return ServiceKey(host, "", lasting_name(container.name))
    number = container.labels.get(compose_labels.NUMBER, "1")
    return ServiceKey(host, project, name, whole_number(number, least=1) or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything that services are joined from. `files` are models on disk by the place searched, `peaks` the
    remembered peaks, `measured` what services logged about their memory, `inside` the device probes by container run,
    `images` what is known of images by name. `is_engine_known`: the engine has listed its containers."""

    host: str
    gpus: Sequence[Gpu]
    readings: Sequence[Reading]
    containers: Sequence[Container]
    project: ComposeProject | None = None
    path_aliases: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[ModelPlace, ModelFiles] = field(default_factory=dict)
    peaks: Mapping[PeakKey, int] = field(default_factory=dict)
    measured: Mapping[PeakKey, Measured] = field(default_factory=dict)
    inside: Mapping[str, Inside] = field(default_factory=dict)
    loading: Mapping[str, Loading] = field(default_factory=dict)
    images: Mapping[str, ImageFacts] = field(default_factory=dict)
    default_runtime: str = ""
    is_engine_known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The inputs that all services share."""

    gpus: Sequence[Gpu]
    reserved_mib: Mapping[str, int | None]
    path_aliases: Mapping[str, str]
    files: Mapping[ModelPlace, ModelFiles]
    peaks: Mapping[PeakKey, int]
    measured: Mapping[PeakKey, Measured]
    is_engine_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The inputs of one service. `holds` is the memory of its processes by GPU. `visible_gpus` is
    NVIDIA_VISIBLE_DEVICES as set by its file, else its image, if the runtime reads it and nothing else names its GPUs.
    `chosen` are the GPUs picked for an open request."""

    key: ServiceKey
    declared: ComposeService | None
    container: Container | None
    saved: Assignment | None
    holds: Mapping[str, int | None]
    inside: Inside | None
    loading: Loading | None
    shares_name: bool
    visible_gpus: str | None
    image_names: frozenset[str] | None
    around: Surroundings
    chosen: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The services by project and name, and the inputs of each; `unplaced` are open requests without a place, with
    everything that decided that."""

    services: tuple[Service, ...] = ()
    by_key: Mapping[ServiceKey, tuple[Parts, Service]] = field(default_factory=dict)
    around: Surroundings | None = None
    unplaced: Mapping[ServiceKey, Tried] = field(default_factory=dict)


NOTHING_JOINED = Joined()


def join_services(world: World, assignments: Assignments, previous: Joined = NOTHING_JOINED) -> Joined:
    """Every service that uses GPUs.

    A service without a saved assignment gets what its container requested, else what its Compose file says, else
    nothing. Services whose inputs are as in `previous` are reused: every second, most of them are.
    """
    around = Surroundings(
        gpus=world.gpus,
        reserved_mib={reading.gpu.uuid: reading.memory_reserved_mib for reading in world.readings},
        path_aliases=world.path_aliases,
        files=world.files,
        peaks=world.peaks,
        measured=world.measured,
        is_engine_known=world.is_engine_known,
    )
    if around == previous.around:
        around = previous.around  # identical objects compare fast, for every service
    all_parts = _all_parts(world, assignments, around)
    joined: dict[ServiceKey, tuple[Parts, Service]] = {}
    for parts in all_parts:
        joined[parts.key] = _joined_service(parts, previous)
    unplaced = _choose(joined, world.readings, previous)
    services = tuple(joined[key][1] for key in sorted(joined))
    return Joined(services=services, by_key=joined, around=around, unplaced=unplaced)


def _joined_service(parts: Parts, previous: Joined) -> tuple[Parts, Service]:
    earlier = previous.by_key.get(parts.key)
    if earlier is None:
        return parts, _service(parts)
    chosen = earlier[0].chosen
    if chosen is not None and parts.declared is not None and len(chosen) == parts.declared.gpu_count:
        parts = replace(parts, chosen=chosen)
    return earlier if earlier[0] == parts else (parts, _service(parts))


def _choose(
    joined: dict[ServiceKey, tuple[Parts, Service]], readings: Sequence[Reading], previous: Joined
) -> dict[ServiceKey, Tried]:
    """Pick GPUs for the open requests, one after another; returns those without a place, with everything that decided
    that."""
    unplaced: dict[ServiceKey, Tried] = {}
    for key in sorted(key for key, (_, service) in joined.items() if service.any_gpus is not None and service.enabled):
        parts, service = joined[key]
        services = [service for _, service in joined.values()]
        last = previous.unplaced.get(key)
        if parts.chosen is None and last is not None and last == tried(service, services, readings):
            unplaced[key] = last
            continue
        chosen = chosen_gpus(service, services, readings, parts.chosen)
        if chosen is None:
            unplaced[key] = tried(service, services, readings)
        if chosen != parts.chosen:
            parts = replace(parts, chosen=chosen)
            joined[key] = (parts, _service(parts))
    return unplaced


def _open_request(parts: Parts) -> int | None:
    """The number of GPUs its file requests without naming any, while it has no container and no saved GPUs."""
    count = parts.declared.gpu_count if parts.declared else None
    is_open = parts.container is None and not (parts.saved and parts.saved.adopted) and not _saved_choice(parts)
    return count if is_open and count is not None and count > 0 else None


def _saved_choice(parts: Parts) -> tuple[str, ...]:
    """The GPUs saved for an open request, as long as they exist and the number still matches."""
    saved, declared = parts.saved, parts.declared
    if saved is None or declared is None or parts.container is not None or len(saved.gpus) != declared.gpu_count:
        return ()
    return saved.gpus if {*saved.gpus} <= {gpu.uuid for gpu in parts.around.gpus} else ()


def _all_parts(world: World, assignments: Assignments, around: Surroundings) -> list[Parts]:
    host, project = world.host, world.project
    by_key: dict[ServiceKey, Container] = {}
    # While a service is being recreated, its old or new container represents it if none has its name.
    for container in sorted(
        world.containers,
        key=lambda candidate: (is_passing(candidate.name), not candidate.running, candidate.created_at),
    ):
        if container.labels.get(compose_labels.ONE_OFF) != "True" and LABEL_PROBE not in container.labels:
            by_key.setdefault(key_of(container, host), container)
    by_name: dict[tuple[str, str], list[ServiceKey]] = {}
    for key in by_key:
        by_name.setdefault((key.project, key.name), []).append(key)
    saved_by_key = {item.key: item for item in assignments.items}
    used = use_by_container(world.readings)
    sources: dict[ServiceKey, tuple[ComposeService | None, Container | None]] = {}
    named_keys: set[ServiceKey] = set()
    for declared in project.services if project else ():
        assert project is not None
        for key in by_name.get((project.name, declared.name)) or [ServiceKey(host, project.name, declared.name)]:
            named_keys.add(key)
            own_container, saved = by_key.get(key), saved_by_key.get(key)
            by_variable = visible_gpus_of(declared, world) not in (None, "", "void", "none")
            if (
                declared.uses_gpus
                or by_variable
                or (own_container and uses_gpus(own_container))
                or (saved and saved.gpus)
            ):
                sources[key] = (declared, own_container)
    for key, container in by_key.items():
        saved = saved_by_key.get(key)
        if key not in named_keys and (uses_gpus(container) or container.id in used or (saved and saved.adopted)):
            sources[key] = (None, container)
    names = distinct_names(sources)
    return [
        Parts(
            key=key,
            declared=declared,
            container=container,
            saved=saved_by_key.get(key),
            holds=used.get(container.id, {}) if container else {},
            inside=world.inside.get(container.run) if container else None,
            loading=world.loading.get(container.run) if container and container.running else None,
            shares_name=names[key] == key.full_name,
            visible_gpus=visible_gpus_of(declared, world) if declared else None,
            image_names=world.images[declared.image].variables if declared and declared.image in world.images else None,
            around=around,
        )
        for key, (declared, container) in sources.items()
    ]


def visible_gpus_of(declared: ComposeService, world: World) -> str | None:
    """NVIDIA_VISIBLE_DEVICES as set by a service's file, else its image, if the nvidia runtime reads it and there is no
    request; None where it has no effect or is unknown."""
    host = declared.body.get("HostConfig") or {}
    runtime = host.get("Runtime") or world.default_runtime
    if runtime != "nvidia" or declared.gpus or declared.gpu_count is not None:
        return None
    file_value = variables_in(declared.body.get("Env")).get("NVIDIA_VISIBLE_DEVICES")
    if file_value is not None:
        return file_value
    image = world.images.get(declared.image)
    return image.visible_devices if image else None


def _service(parts: Parts) -> Service:
    declared, container, saved, around = parts.declared, parts.container, parts.saved, parts.around
    gpus = around.gpus
    requested = requested_gpus(container, gpus) if container else None
    running_on = tuple(parts.holds)
    in_file = declared_gpus(declared, parts.visible_gpus, gpus)
    any_gpus = _open_request(parts)
    left_open = _saved_choice(parts) or (parts.chosen if any_gpus else None)
    assigned = requested if requested is not None else left_open or in_file or running_on
    adopted = saved if saved and saved.adopted else None
    if saved and (saved.adopted or (declared and runs_otherwise(requested, in_file, saved.gpus))):
        assigned = saved.gpus  # the saved state beats what somebody else started
    enabled = adopted.enabled if adopted else is_wanted(declared, container)
    launch = _launch(declared, container, adopted)
    image = container.image if container else declared.image if declared else ""
    line = served_line(launch)
    backend = named((declared.backend if declared else None) or backend_of(image, line.words))
    model = (declared.model if declared else None) or model_of(line.words, launch.environment)
    serving = serving_of(backend.name, launch, len(assigned), image)
    place = place_of(model, launch, around.path_aliases)
    files = around.files.get(place)
    total, usable = _totals(assigned, around)
    budget = adopted.budget_mib if adopted else None
    environment_mib = environment_budget(launch)
    declared_mib = declared.vram_mib if declared and declared.vram_mib is not None else environment_mib
    amounts = [memory for memory in parts.holds.values() if memory is not None]
    # Observations hold for the arguments it runs with, not for edited ones.
    as_it_runs = container is not None and launch.words == container.launch.words
    memory_key = peak_key(image, launch, max(1, len(assigned)), total)
    measured = _measured(memory_key, around.measured)
    return Service(
        key=parts.key,
        origin="compose" if declared else "found",
        adopted=adopted is not None,
        backend=backend.name,
        model=model,
        image=image,
        enabled=enabled,
        assigned=assigned,
        requested=requested,
        running_on=running_on,
        requirement=requirement(
            Evidence(
                backend=backend,
                serving=serving,
                gpus=len(assigned),
                total_mib=usable,
                gpu_total_mib=total,
                totals_mib=_usable_of_each(assigned, around),
                files=files,
                declared_mib=declared_mib,
                model=model,
                present_mib=max(amounts, default=None) if as_it_runs else None,
                peak_mib=_peak(memory_key, around.peaks, anywhere=backend.claim is None),
                measured=measured,
            )
        ),
        launch=launch,
        serving=serving,
        measured=measured,
        files=files,
        declared_mib=declared_mib,
        unmounted=place.unmounted,
        smallest_gpu_mib=total if assigned else None,
        any_gpus=any_gpus,
        contradiction=_contradiction(declared, container, requested, serving.world),
        priority=_priority(declared, adopted),
        priority_set=adopted.priority if adopted else None,
        isolate=declared.isolate if declared else False,
        has_budget=bool(declared and declared.has_budget) or budget is not None or environment_mib is not None,
        budget_mib=budget,
        budget_env=_budget_env(declared, backend),
        edits=adopted.edits if adopted else (),
        drift=drift(container, requested, running_on, gpus, parts.inside),
        container=container,
        tells_file_budget=declared is None
        or container is None
        or tells_file_budget(declared, container, parts.image_names),
        depends_on=declared.depends_on if declared else _depends_on(container),
        file_differences=file_differences(declared, container, parts.image_names) if declared and container else (),
        fallback=(declared.fallback if declared else None) or "never",
        mechanism=declared.mechanism if declared else None,
        sees_all_devices=container.sees_all_devices if container else sees_all_devices(_host_config(declared)),
        privileged=container.privileged if container else bool(_host_config(declared).get("Privileged")),
        not_carried=declared.not_carried if declared else (),
        loading=None if parts.loading is None or parts.loading.phase == "ready" else parts.loading,
        shares_name=parts.shares_name,
        is_saved=saved is not None,
        is_unknown=container is None and not around.is_engine_known,
    )


def _contradiction(
    declared: ComposeService | None, container: Container | None, requested: tuple[str, ...] | None, world: int | None
) -> Contradiction | None:
    """Conflicting GPU settings of its container, else of its file. It uses `world` GPUs."""
    if container is None or LABEL_GPUS in container.labels:
        if declared is None or declared.contradiction is not None:
            return declared.contradiction if declared else None
        fault = too_few_visible(variables_in(declared.body.get("Env")).get("CUDA_VISIBLE_DEVICES"), world)
        return None if fault is None else Contradiction("hidden", fault)
    requests = [request for request in container.device_requests if request.asks_for_gpus]
    if len(requests) > 1 and not all(request.driver == "cdi" for request in requests):
        descriptions = (
            ",".join(request.device_ids) or ("all" if request.count == -1 else f"{request.count} of them")
            for request in requests
        )
        text = f"it has {len(requests)} requests for GPUs ({' and '.join(descriptions)}); the last one counts"
        return Contradiction("several-requests", clean(text, 300))
    if has_ignored_request(container):
        names = container.gpu_environment.get("NVIDIA_VISIBLE_DEVICES")
        text = f"NVIDIA_VISIBLE_DEVICES={names} does nothing with the runtime {container.runtime or 'runc'}"
        return Contradiction("ignored", text)
    if not requested:
        return None
    visible = container.gpu_environment.get("CUDA_VISIBLE_DEVICES")
    fault = cuda_fault(visible, len(requested), requested) or too_few_visible(visible, world)
    return None if fault is None else Contradiction("hidden", fault)


def runs_otherwise(requested: Sequence[str] | None, in_file: Sequence[str], saved: Sequence[str]) -> bool:
    """Whether a Compose service not edited here has GPUs other than its file says, as after a `docker compose up`
    without the override, and other than saved. Where file and engine agree, both apply."""
    return requested is not None and bool(saved) and set(requested) not in (set(in_file), set(saved))


def is_wanted(declared: ComposeService | None, container: Container | None) -> bool:
    """Whether a service that nobody enabled or disabled here should run: one in a Compose file should, running or not;
    for a container alone only its present state is known."""
    if declared is not None:
        return declared.replicas > 0 or (container is not None and container.lives)
    return container is not None and container.lives


def _host_config(declared: ComposeService | None) -> Mapping[str, Any]:
    return (declared.body.get("HostConfig") or {}) if declared else {}


def _depends_on(container: Container | None) -> tuple[str, ...]:
    """As Compose records it in a label: `db:service_healthy:false,cache:service_started:true`."""
    text = container.labels.get(compose_labels.DEPENDS_ON, "") if container else ""
    return tuple(part.partition(":")[0] for part in text.split(",") if part)


def _launch(declared: ComposeService | None, container: Container | None, adopted: Assignment | None) -> Launch:
    """The launch as assigned: that of its container, else of its file, with the draft's edits replacing those the
    container was created with."""
    launch = container.launch if container else declared.launch if declared else Launch()
    if adopted is None:
        return launch
    if container is not None and container.unedited is not None:
        launch = container.unedited
    return edited(launch, adopted.edits) if adopted.edits else launch


@lru_cache(maxsize=4096)
def serving_of(backend: str, launch: Launch, gpus: int, image: str = "") -> Serving:
    """How a service serves, by its backend's options. A custom image whose file sets no command may start its server
    with any options."""
    line = served_line(launch)
    unknown = named(backend).world_from_options and is_unknown_program(launch.words)
    if unknown or (not launch.words and image and not is_official(backend, image)):
        line = replace(line, opaque=True)
    serving = named(backend).serving(line, launch.environment, gpus)
    return replace(serving, version=version_of(image)) if backend == "vllm" and image else serving


@lru_cache(maxsize=1024)
def edited(launch: Launch, edits: tuple[Edit, ...]) -> Launch:
    """The launch with changed arguments."""
    words = list(launch.words)
    for edit in edits:
        with suppress(Refusal):  # the plan reports it; here the command is taken as it is
            words = with_argument(words, edit.argument, edit.value)
    return replace(launch, words=tuple(words))


def _priority(declared: ComposeService | None, adopted: Assignment | None) -> int:
    if adopted and adopted.priority is not None:
        return adopted.priority
    return declared.priority if declared else 0


def _budget_env(declared: ComposeService | None, backend: Backend) -> str | None:
    """The variable that passes a service its budget; None if its backend has an option for it."""
    if declared is not None and declared.has_budget:
        return declared.budget_env
    return None if backend.memory_flag else DEFAULT_VARIABLE


def _peak(key: PeakKey | None, peaks: Mapping[PeakKey, int], *, anywhere: bool) -> int | None:
    """The remembered peak. A service that does not fill a fraction of its GPU takes the same `anywhere`, even on GPUs
    of other sizes."""
    if key is None:
        return None
    exact = peaks.get(key)
    if exact is not None or not anywhere:
        return exact
    return max((mib for peak, mib in peaks.items() if peak.is_like(key)), default=None)


def _measured(key: PeakKey | None, measured: Mapping[PeakKey, Measured]) -> Measured | None:
    """What it logged about its memory on GPUs of this size; on other sizes its weights take the same."""
    if key is None or not measured:
        return None
    if key in measured:
        return measured[key]
    weights = [observation.weights_mib for measured_key, observation in measured.items() if measured_key.is_like(key)]
    weights_mib = [mib for mib in weights if mib is not None]
    return Measured(weights_mib=max(weights_mib)) if weights_mib else None


def _totals(assigned: Sequence[str], around: Surroundings) -> tuple[int | None, int | None]:
    """The memory of a service's smallest assigned GPU (if it has none, of the largest GPU it could get), total and
    usable."""
    sizes = [(gpu.memory_total_mib, gpu.uuid) for gpu in around.gpus if gpu.memory_total_mib is not None]
    assigned_sizes = [size for size in sizes if size[1] in assigned]
    if not sizes:
        return None, None
    total, uuid = min(assigned_sizes) if assigned_sizes else max(sizes)
    return total, total - (around.reserved_mib.get(uuid) or 0)


def _usable_of_each(assigned: Sequence[str], around: Surroundings) -> tuple[int, ...]:
    """The usable memory of each assigned GPU, in order; GPUs of unknown size are skipped."""
    sizes = {gpu.uuid: gpu.memory_total_mib for gpu in around.gpus}
    totals = [(uuid, sizes.get(uuid)) for uuid in assigned]
    return tuple(size - (around.reserved_mib.get(uuid) or 0) for uuid, size in totals if size is not None)


LOADING_LIMIT_S = 3600.0
"""How long after its start a container may still be loading; 70 billion parameters from a slow disk take half of it."""


def wanted_loading(services: Sequence[Service], now: float) -> frozenset[str]:
    """The containers, by run, that started recently."""
    starting = set()
    for service in services:
        container = service.container
        began = moment(container.started_at or "") if container and container.running else None
        if container is None or container.health == "healthy":
            continue
        if began is not None and now - began < LOADING_LIMIT_S:
            starting.add(container.run)
    return frozenset(starting)


def wanted_inside(services: Sequence[Service]) -> frozenset[str]:
    """The container runs to probe: adopted services with GPUs."""
    containers = (
        service.container for service in services if service.adopted and service.running and service.requested
    )
    return frozenset(container.run for container in containers if container is not None)


def wanted_places(services: Sequence[Service], path_aliases: Mapping[str, str]) -> frozenset[ModelPlace]:
    """The places to search for model files."""
    places = {place_of(service.model, service.launch, path_aliases) for service in services}
    return frozenset(place for place in places if place.paths)


def declared_gpus(declared: ComposeService | None, visible_gpus: str | None, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """The GPUs that a Compose file names, else those in NVIDIA_VISIBLE_DEVICES if it has an effect; one that no longer
    exists keeps the name it was written with."""
    if declared is None:
        return ()
    assignable = [gpu.uuid for gpu in gpus if gpu.assignable]
    names = declared.gpus
    if visible_gpus is not None and not names and declared.gpu_count is None:
        names = tuple(name for name in visible_gpus.split(",") if name not in ("", "none", "void"))
    if "all" in names or declared.gpu_count == -1:
        return tuple(assignable)
    if declared.gpu_count is not None:
        return tuple(assignable[: declared.gpu_count])
    matches = [(find_gpu(gpus, name), name) for name in names]
    return tuple(gpu.uuid if gpu else name for gpu, name in matches)
