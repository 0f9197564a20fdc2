"""Which services there are: what Compose files name, what runs on the engine, and what was assigned, joined."""

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
from gputui.planning.arguments import is_unknown_program, served_line
from gputui.planning.backends.backend import Backend
from gputui.planning.backends.registry import backend_of, decides_by_options, is_official, named, version_of
from gputui.planning.changes.argument_edit import with_argument
from gputui.planning.changes.drift import drift
from gputui.planning.changes.file_difference import file_differences, tells_file_budget
from gputui.planning.given_gpus import asks_in_vain, find_gpu, requested_gpus, use_by_container, uses_gpus
from gputui.planning.needs.budget import DEFAULT_VARIABLE, budget_told
from gputui.planning.needs.model_name import model_of
from gputui.planning.needs.model_path import ModelPlace, place_of
from gputui.planning.needs.observations import peak_key
from gputui.planning.needs.requirement import Evidence, requirement
from gputui.planning.placement.open_requests import Tried, chosen_gpus, tried


def key_of(container: Container, host: str) -> ServiceKey:
    """The service that a container belongs to, by its Compose labels, else its name."""
    project = container.labels.get(compose_labels.PROJECT, "")
    name = container.labels.get(compose_labels.SERVICE, "")
    if not project or not name:
        return ServiceKey(host, "", lasting_name(container.name))
    number = container.labels.get(compose_labels.NUMBER, "1")
    return ServiceKey(host, project, name, whole_number(number, least=1) or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All that services are joined from. `files` are models on disk by the place that was looked at, `peaks` what was
    remembered, `measured` what services said that they took, `inside` what was seen inside containers, by their run,
    `images` what is known of images, by their names. `is_engine_known`: the engine has told which containers there
    are."""

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
    """What every service is joined with."""

    gpus: Sequence[Gpu]
    reserved_mib: Mapping[str, int | None]
    path_aliases: Mapping[str, str]
    files: Mapping[ModelPlace, ModelFiles]
    peaks: Mapping[PeakKey, int]
    measured: Mapping[PeakKey, Measured]
    is_engine_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What one service is joined from. `holds` is the memory of its processes by GPU, `visible_gpus` what its file
    or else its image says in NVIDIA_VISIBLE_DEVICES, where the runtime reads that and nothing else names its GPUs.
    `chosen` are the GPUs that an open request comes to."""

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
    """The services by project and name, and what each was made of; `unplaced` are the open requests that found
    no place, with what that hung on."""

    services: tuple[Service, ...] = ()
    made: Mapping[ServiceKey, tuple[Parts, Service]] = field(default_factory=dict)
    around: Surroundings | None = None
    unplaced: Mapping[ServiceKey, Tried] = field(default_factory=dict)


NOTHING_JOINED = Joined()


def join_services(world: World, assignments: Assignments, before: Joined = NOTHING_JOINED) -> Joined:
    """Every service that uses GPUs.

    A service without a saved assignment is assigned what its container was asked for, else what its Compose file
    says, else nothing. One that is made of the same as `before` is taken from there: every second most of them are.
    """
    around = Surroundings(
        gpus=world.gpus,
        reserved_mib={one.gpu.uuid: one.memory_reserved_mib for one in world.readings},
        path_aliases=world.path_aliases,
        files=world.files,
        peaks=world.peaks,
        measured=world.measured,
        is_engine_known=world.is_engine_known,
    )
    if around == before.around:
        around = before.around  # so that to compare it with itself, for every service, takes no time
    all_parts = _all_parts(world, assignments, around)
    made: dict[ServiceKey, tuple[Parts, Service]] = {}
    for parts in all_parts:
        made[parts.key] = _made(parts, before)
    unplaced = _choose(made, world.readings, before)
    services = tuple(made[key][1] for key in sorted(made))
    return Joined(services=services, made=made, around=around, unplaced=unplaced)


def _made(parts: Parts, before: Joined) -> tuple[Parts, Service]:
    known = before.made.get(parts.key)
    if known is None:
        return parts, _service(parts)
    chosen = known[0].chosen
    if chosen is not None and parts.declared is not None and len(chosen) == parts.declared.gpu_count:
        parts = replace(parts, chosen=chosen)
    return known if known[0] == parts else (parts, _service(parts))


def _choose(
    made: dict[ServiceKey, tuple[Parts, Service]], readings: Sequence[Reading], before: Joined
) -> dict[ServiceKey, Tried]:
    """Give the open requests their GPUs, one after the other; those that found no place, and what that hung on."""
    unplaced: dict[ServiceKey, Tried] = {}
    for key in sorted(key for key, (_, service) in made.items() if service.any_gpus is not None and service.enabled):
        parts, service = made[key]
        services = [service for _, service in made.values()]
        last = before.unplaced.get(key)
        if parts.chosen is None and last is not None and last == tried(service, services, readings):
            unplaced[key] = last
            continue
        chosen = chosen_gpus(service, services, readings, parts.chosen)
        if chosen is None:
            unplaced[key] = tried(service, services, readings)
        if chosen != parts.chosen:
            parts = replace(parts, chosen=chosen)
            made[key] = (parts, _service(parts))
    return unplaced


def _open_request(parts: Parts) -> int | None:
    """The number of GPUs that its file asks for, where it names none, it has no container, and none were saved."""
    count = parts.declared.gpu_count if parts.declared else None
    is_open = parts.container is None and not (parts.saved and parts.saved.adopted) and not _saved_choice(parts)
    return count if is_open and count is not None and count > 0 else None


def _saved_choice(parts: Parts) -> tuple[str, ...]:
    """The GPUs that were written down for a request that left open which, as long as they are there and as many."""
    saved, declared = parts.saved, parts.declared
    if saved is None or declared is None or parts.container is not None or len(saved.gpus) != declared.gpu_count:
        return ()
    return saved.gpus if {*saved.gpus} <= {gpu.uuid for gpu in parts.around.gpus} else ()


def _all_parts(world: World, assignments: Assignments, around: Surroundings) -> list[Parts]:
    host, project = world.host, world.project
    by_key: dict[ServiceKey, Container] = {}
    # While a service is recreated, its old or its new container stands for it where none has its name.
    for container in sorted(world.containers, key=lambda one: (is_passing(one.name), not one.running, one.created_at)):
        if container.labels.get(compose_labels.ONE_OFF) != "True" and LABEL_PROBE not in container.labels:
            by_key.setdefault(key_of(container, host), container)
    by_name: dict[tuple[str, str], list[ServiceKey]] = {}
    for key in by_key:
        by_name.setdefault((key.project, key.name), []).append(key)
    saved_by_key = {item.key: item for item in assignments.items}
    used = use_by_container(world.readings)
    found: dict[ServiceKey, tuple[ComposeService | None, Container | None]] = {}
    named: set[ServiceKey] = set()
    for declared in project.services if project else ():
        assert project is not None
        for key in by_name.get((project.name, declared.name)) or [ServiceKey(host, project.name, declared.name)]:
            named.add(key)
            own, saved = by_key.get(key), saved_by_key.get(key)
            by_variable = visible_gpus_of(declared, world) not in (None, "", "void", "none")
            if declared.uses_gpus or by_variable or (own and uses_gpus(own)) or (saved and saved.gpus):
                found[key] = (declared, own)
    for key, container in by_key.items():
        saved = saved_by_key.get(key)
        if key not in named and (uses_gpus(container) or container.id in used or (saved and saved.adopted)):
            found[key] = (None, container)
    names = distinct_names(found)
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
        for key, (declared, container) in found.items()
    ]


def visible_gpus_of(declared: ComposeService, world: World) -> str | None:
    """What a service's file, or else its image, says in NVIDIA_VISIBLE_DEVICES, where the runtime nvidia is to read it
    and there is no request; None where it does not count, or is not known."""
    host = declared.body.get("HostConfig") or {}
    runtime = host.get("Runtime") or world.default_runtime
    if runtime != "nvidia" or declared.gpus or declared.gpu_count is not None:
        return None
    written = variables_in(declared.body.get("Env")).get("NVIDIA_VISIBLE_DEVICES")
    if written is not None:
        return written
    image = world.images.get(declared.image)
    return image.visible_devices if image else None


def _service(parts: Parts) -> Service:
    declared, container, saved, around = parts.declared, parts.container, parts.saved, parts.around
    gpus = around.gpus
    requested = requested_gpus(container, gpus) if container else None
    on = tuple(parts.holds)
    in_file = declared_gpus(declared, parts.visible_gpus, gpus)
    any_gpus = _open_request(parts)
    left_open = _saved_choice(parts) or (parts.chosen if any_gpus else None)
    assigned = requested if requested is not None else left_open or in_file or on
    adopted = saved if saved and saved.adopted else None
    if saved and (saved.adopted or (declared and runs_otherwise(requested, in_file, saved.gpus))):
        assigned = saved.gpus  # what was saved beats what somebody else made run
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
    told = budget_told(launch)
    declared_mib = declared.vram_mib if declared and declared.vram_mib is not None else told
    seen = [memory for memory in parts.holds.values() if memory is not None]
    # What was seen of it holds for the arguments that it runs with, not for edited ones.
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
        running_on=on,
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
                present_mib=max(seen, default=None) if as_it_runs else None,
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
        has_budget=bool(declared and declared.has_budget) or budget is not None or told is not None,
        budget_mib=budget,
        budget_env=_budget_env(declared, backend),
        edits=adopted.edits if adopted else (),
        drift=drift(container, requested, on, gpus, parts.inside),
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
    """What is said twice and differently of its GPUs: by its container, else by its file. It works on `world` GPUs."""
    if container is None or LABEL_GPUS in container.labels:
        if declared is None or declared.contradiction is not None:
            return declared.contradiction if declared else None
        few = too_few_visible(variables_in(declared.body.get("Env")).get("CUDA_VISIBLE_DEVICES"), world)
        return None if few is None else Contradiction("hidden", few)
    asking = [one for one in container.device_requests if one.asks_for_gpus]
    if len(asking) > 1 and not all(one.driver == "cdi" for one in asking):
        named = (",".join(one.device_ids) or ("all" if one.count == -1 else f"{one.count} of them") for one in asking)
        text = f"it has {len(asking)} requests for GPUs ({' and '.join(named)}); the last one counts"
        return Contradiction("several-requests", clean(text, 300))
    if asks_in_vain(container):
        asked = container.gpu_environment.get("NVIDIA_VISIBLE_DEVICES")
        text = f"NVIDIA_VISIBLE_DEVICES={asked} does nothing with the runtime {container.runtime or 'runc'}"
        return Contradiction("ignored", text)
    if not requested:
        return None
    visible = container.gpu_environment.get("CUDA_VISIBLE_DEVICES")
    fault = cuda_fault(visible, len(requested), requested) or too_few_visible(visible, world)
    return None if fault is None else Contradiction("hidden", fault)


def runs_otherwise(requested: Sequence[str] | None, in_file: Sequence[str], saved: Sequence[str]) -> bool:
    """Whether a service of a file that nobody edited here was given other GPUs than the file says, as by a `docker
    compose up` without the override, and others than were saved. Where file and engine agree, both hold."""
    return requested is not None and bool(saved) and set(requested) not in (set(in_file), set(saved))


def is_wanted(declared: ComposeService | None, container: Container | None) -> bool:
    """Whether a service is to run that nobody enabled or disabled here: one of a Compose file is, whether it runs or
    not; of a container alone only what it does is known."""
    if declared is not None:
        return declared.replicas > 0 or (container is not None and container.lives)
    return container is not None and container.lives


def _host_config(declared: ComposeService | None) -> Mapping[str, Any]:
    return (declared.body.get("HostConfig") or {}) if declared else {}


def _depends_on(container: Container | None) -> tuple[str, ...]:
    """As Compose notes it in a label: `db:service_healthy:false,cache:service_started:true`."""
    text = container.labels.get(compose_labels.DEPENDS_ON, "") if container else ""
    return tuple(part.partition(":")[0] for part in text.split(",") if part)


def _launch(declared: ComposeService | None, container: Container | None, adopted: Assignment | None) -> Launch:
    """How the service is launched as it is assigned: its container's launch, else its file's, with the draft's edits in
    the place of those that the container was made with."""
    launch = container.launch if container else declared.launch if declared else Launch()
    if adopted is None:
        return launch
    if container is not None and container.unedited is not None:
        launch = container.unedited
    return edited(launch, adopted.edits) if adopted.edits else launch


@lru_cache(maxsize=4096)
def serving_of(backend: str, launch: Launch, gpus: int, image: str = "") -> Serving:
    """How a service serves, by its backend's options. An image of somebody's own without a command of the file's may
    call its server with anything."""
    line = served_line(launch)
    unknown = decides_by_options(backend) and is_unknown_program(launch.words)
    if unknown or (not launch.words and image and not is_official(backend, image)):
        line = replace(line, opaque=True)
    found = named(backend).serving(line, launch.environment, gpus)
    return replace(found, version=version_of(image)) if backend == "vllm" and image else found


@lru_cache(maxsize=1024)
def edited(launch: Launch, edits: tuple[Edit, ...]) -> Launch:
    """The launch with changed arguments."""
    words = list(launch.words)
    for edit in edits:
        with suppress(Refusal):  # the plan says so; here the command is judged as it is
            words = with_argument(words, edit.argument, edit.value)
    return replace(launch, words=tuple(words))


def _priority(declared: ComposeService | None, adopted: Assignment | None) -> int:
    if adopted and adopted.priority is not None:
        return adopted.priority
    return declared.priority if declared else 0


def _budget_env(declared: ComposeService | None, backend: Backend) -> str | None:
    """The variable that tells a service its budget; None for a backend that has an option of its own for it."""
    if declared is not None and declared.has_budget:
        return declared.budget_env
    return None if backend.memory_flag else DEFAULT_VARIABLE


def _peak(key: PeakKey | None, peaks: Mapping[PeakKey, int], *, anywhere: bool) -> int | None:
    """The remembered peak. What fills no fraction of its GPU takes the same `anywhere`, on GPUs of other sizes too."""
    if key is None:
        return None
    exact = peaks.get(key)
    if exact is not None or not anywhere:
        return exact
    return max((mib for one, mib in peaks.items() if one.is_like(key)), default=None)


def _measured(key: PeakKey | None, measured: Mapping[PeakKey, Measured]) -> Measured | None:
    """What it said that it took, on such GPUs; on others its weights take the same."""
    if key is None or not measured:
        return None
    if key in measured:
        return measured[key]
    weights = [one.weights_mib for at, one in measured.items() if at.is_like(key)]
    known = [mib for mib in weights if mib is not None]
    return Measured(weights_mib=max(known)) if known else None


def _totals(assigned: Sequence[str], around: Surroundings) -> tuple[int | None, int | None]:
    """The total of the GPUs that a service is assigned (the smallest of them; of one that has none yet, the largest GPU
    that it could get), and what of it is usable."""
    sizes = [(gpu.memory_total_mib, gpu.uuid) for gpu in around.gpus if gpu.memory_total_mib is not None]
    own = [one for one in sizes if one[1] in assigned]
    if not sizes:
        return None, None
    total, uuid = min(own) if own else max(sizes)
    return total, total - (around.reserved_mib.get(uuid) or 0)


def _usable_of_each(assigned: Sequence[str], around: Surroundings) -> tuple[int, ...]:
    """What is usable of each assigned GPU, in their order; nothing where one is not known."""
    sizes = {gpu.uuid: gpu.memory_total_mib for gpu in around.gpus}
    found = [(uuid, sizes.get(uuid)) for uuid in assigned]
    return tuple(size - (around.reserved_mib.get(uuid) or 0) for uuid, size in found if size is not None)


LOADING_LIMIT_S = 3600.0
"""How long after its start a container may still be loading; 70 billion parameters from a slow disk take half of it."""


def wanted_loading(services: Sequence[Service], now: float) -> frozenset[str]:
    """The containers, by their run, that started a short while ago."""
    found = set()
    for service in services:
        container = service.container
        began = moment(container.started_at or "") if container and container.running else None
        if container is None or container.health == "healthy":
            continue
        if began is not None and now - began < LOADING_LIMIT_S:
            found.add(container.run)
    return frozenset(found)


def wanted_inside(services: Sequence[Service]) -> frozenset[str]:
    """The runs of containers to look into: those that are ours to look after, and were given GPUs."""
    ours = (service.container for service in services if service.adopted and service.running and service.requested)
    return frozenset(container.run for container in ours if container is not None)


def wanted_places(services: Sequence[Service], path_aliases: Mapping[str, str]) -> frozenset[ModelPlace]:
    """Where models may be whose files should be looked at."""
    places = {place_of(service.model, service.launch, path_aliases) for service in services}
    return frozenset(place for place in places if place.paths)


def declared_gpus(declared: ComposeService | None, visible_gpus: str | None, gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """The GPUs that a Compose file names, or else the variable that the runtime reads, where that counts; one that is
    gone keeps the name it was written with."""
    if declared is None:
        return ()
    whole = [gpu.uuid for gpu in gpus if gpu.assignable]
    names = declared.gpus
    if visible_gpus is not None and not names and declared.gpu_count is None:
        names = tuple(name for name in visible_gpus.split(",") if name not in ("", "none", "void"))
    if "all" in names or declared.gpu_count == -1:
        return tuple(whole)
    if declared.gpu_count is not None:
        return tuple(whole[: declared.gpu_count])
    found = [(find_gpu(gpus, name), name) for name in names]
    return tuple(gpu.uuid if gpu else name for gpu, name in found)
