"""A simulated engine: containers that load models, log, and fail according to a scenario. It starts no processes."""

import copy
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGTERM
from typing import Any

from gputui.domain.container import Container, ContainerSpec, EngineInfo, Layer
from gputui.domain.errors import EngineError, NotFound, Refusal
from gputui.domain.gpu import Gpu, device_node
from gputui.domain.injection import Capabilities
from gputui.domain.launch import variables_in
from gputui.domain.log import LogWindow
from gputui.engine.inspect_data import container_from, spec_from
from gputui.engine.log_frames import STDERR, STDOUT, framed
from gputui.simulated.memory_claim import out_of_memory, takes_mib
from gputui.simulated.scenario import Scenario, SimulatedContainer

UPTIME_S = 3 * 86400.0
"""The uptime of a scenario's containers at the start of the simulation."""

SERVED_LINES = 400
"""The number of request lines in a container's log."""
LINE_S = 2.0
"""Seconds between the log lines of a serving container."""

FALL_S = 1.0
"""Seconds until a container that is meant to fail exits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Memory that a simulated container's process holds on one GPU."""

    gpu: str
    pid: int
    container_id: str
    memory_mib: int
    utilization_percent: int
    command: str
    started_at: float


@dataclass(slots=True)
class _Simulated:
    data: dict[str, Any]
    template: SimulatedContainer
    started: float | None = None
    ended: float | None = None
    pid: int = 0
    was_started: bool = False
    out_of_memory: str = ""
    past_log: list[tuple[float, bytes]] = field(default_factory=list)


class SimulatedEngine:
    """Implements `Engine` over a scenario; the same scenario and clock give the same server."""

    socket: Path | None = None

    def __init__(self, scenario: Scenario, clock: Callable[[], float] = time.time, speed: float = 1.0) -> None:
        self._scenario = scenario
        self._clock = clock
        self._speed = speed
        self._changed = threading.Condition(threading.RLock())
        self._events: list[bytes] = []
        self._containers: dict[str, _Simulated] = {}
        self._templates = {template.name: template for template in scenario.containers}
        self._gpus = [simulated.gpu for simulated in scenario.gpus]
        self._pid = 4000
        self._counted: tuple[tuple[int, int], tuple[Claim, ...]] | None = None
        for template in scenario.containers:
            container = self._add(template.name, _body_of(template), template)
            if template.running:
                self._run(container, clock() - UPTIME_S)
                container.was_started = False

    def _add(self, name: str, body: Mapping[str, Any], template: SimulatedContainer) -> _Simulated:
        identity = hashlib.sha256(f"{name} {len(self._containers)} {len(self._events)}".encode()).hexdigest()
        config = copy.deepcopy(dict(body))
        host = config.pop("HostConfig", {})
        networking = config.pop("NetworkingConfig", {})
        container = _Simulated(
            template=template,
            data={
                "Id": identity,
                "Name": f"/{name}",
                "Created": _iso(self._clock()),
                "Image": "sha256:" + hashlib.sha256(str(config.get("Image")).encode()).hexdigest(),
                "RestartCount": 0,
                "Config": config,
                "HostConfig": host,
                "Mounts": [],
                "NetworkSettings": {"Networks": networking.get("EndpointsConfig", {})},
            },
        )
        self._containers[identity] = container
        self._note(container, "create")
        return container

    def _note(self, container: _Simulated, action: str, **extra: str) -> None:
        """Publish an event, as Docker does."""
        attributes = {
            **(container.data["Config"].get("Labels") or {}),
            "name": container.data["Name"].lstrip("/"),
            **extra,
        }
        actor = {"ID": container.data["Id"], "Attributes": attributes}
        event = {"Type": "container", "Action": action, "Actor": actor, "timeNano": int(self._clock() * 10**9)}
        with self._changed:
            self._events.append(json.dumps(event).encode() + b"\n")
            self._changed.notify_all()

    def _find(self, ref: str) -> _Simulated:
        for identity, container in self._containers.items():
            if ref == identity or container.data["Name"] == f"/{ref}" or (len(ref) >= 12 and identity.startswith(ref)):
                self._let_fall(container)
                return container
        raise NotFound(f"No such container: {ref[:40]}")

    def _let_fall(self, container: _Simulated) -> None:
        if (
            container.started is not None
            and container.ended is None
            and container.template.fails
            and container.started > 0
        ):
            fails_at = container.started + FALL_S / self._speed
            if (
                self._clock() >= fails_at
                and container.data["Config"].get("Labels", {}).get("io.gputui.gpus") is not None
            ):
                container.ended = fails_at
        # The initial containers always fit; those started later need free memory.
        if (
            container.started is not None
            and container.ended is None
            and container.was_started
            and self._loaded(container) > 0
        ):
            container.out_of_memory = self._out_of_memory(container)
            if container.out_of_memory:
                container.ended = self._clock()
                self._note(container, "die")

    def _out_of_memory(self, container: _Simulated) -> str:
        """The CUDA error if a GPU has too little memory for what this container currently takes; empty otherwise."""
        usable_mib = {
            simulated.gpu.uuid: (simulated.gpu.memory_total_mib or 0) - simulated.reserved_mib
            for simulated in self._scenario.gpus
        }
        for number, gpu in enumerate(self._gpus_of(container)):
            others_mib = sum(
                int(self._takes(peer, gpu) * self._loaded(peer))
                for peer in self._containers.values()
                if peer is not container and peer.ended is None and gpu in self._gpus_of(peer)
            )
            strangers_mib = sum(process.memory_mib for process in self._scenario.processes if process.gpu == gpu.uuid)
            total = usable_mib.get(gpu.uuid, gpu.memory_total_mib or 0)
            wanted_mib, free_mib = (
                int(self._takes(container, gpu) * self._loaded(container)),
                total - others_mib - strangers_mib,
            )
            if wanted_mib > free_mib:
                return out_of_memory(number, total_mib=total, free_mib=free_mib, wanted_mib=wanted_mib)
        return ""

    def _takes(self, container: _Simulated, gpu: Gpu) -> int:
        in_scenario = container.template.name in self._templates
        return takes_mib(
            container.data["Config"], container.template, gpu.memory_total_mib or 0, in_scenario=in_scenario
        )

    def _state(self, container: _Simulated) -> dict[str, Any]:
        if container.started is None:
            return {"Status": "created", "ExitCode": 0}
        if container.ended is not None:
            code = 1 if container.template.fails or container.out_of_memory else 0
            return {"Status": "exited", "ExitCode": code, "StartedAt": _iso(container.started)}
        state: dict[str, Any] = {"Status": "running", "Pid": container.pid, "StartedAt": _iso(container.started)}
        if container.data["Config"].get("Healthcheck"):
            loaded = self._loaded(container) >= 1.0
            state["Health"] = {"Status": "healthy" if loaded else "starting"}
        return state

    def _loaded(self, container: _Simulated) -> float:
        """The fraction of its model in memory, 0 to 1."""
        if container.started is None or container.ended is not None:
            return 0.0
        if container.template.load_s <= 0:
            return 1.0
        return min(1.0, (self._clock() - container.started) * self._speed / container.template.load_s)

    def _run(self, container: _Simulated, started: float) -> None:
        container.started, container.ended, container.was_started, container.out_of_memory = started, None, True, ""
        self._pid += 7
        container.pid = self._pid
        self._note(container, "start")

    def _gpus_named(self, names: Sequence[str]) -> list[Gpu]:
        gpus: list[Gpu] = []
        for name in names:
            matches = [gpu for gpu in self._gpus if name in (gpu.uuid, gpu.label)]
            if not matches:
                raise EngineError(f"start: nvidia-container-cli: device error: {name}: unknown device")
            gpus += matches
        return gpus

    def _gpus_of(self, container: _Simulated) -> list[Gpu]:
        gpus: list[Gpu] = []
        for request in container.data["HostConfig"].get("DeviceRequests") or []:
            gpus += self._gpus_named(request.get("DeviceIDs") or [])
            if request.get("Count") == -1:
                gpus += [gpu for gpu in self._gpus if gpu.assignable]
        if not gpus and container.data["HostConfig"].get("Runtime") == "nvidia":
            variables = variables_in(container.data["Config"].get("Env"))
            visible = variables.get("NVIDIA_VISIBLE_DEVICES", "void")
            gpus = [] if visible in ("", "void", "none", "all") else self._gpus_named(visible.split(","))
        return gpus

    def claims(self) -> tuple[Claim, ...]:
        """The memory of running containers' processes. Every GPU queries it, so it is computed at most ten times a
        second."""
        with self._changed:
            moment = (len(self._events), int(self._clock() * 10))
            if self._counted is None or self._counted[0] != moment:
                self._counted = (moment, self._claims())
            return self._counted[1]

    def _claims(self) -> tuple[Claim, ...]:
        with self._changed:
            claims: list[Claim] = []
            for identity, container in self._containers.items():
                self._let_fall(container)
                loaded = self._loaded(container)
                claims += [
                    Claim(
                        gpu=gpu.uuid,
                        pid=container.pid,
                        container_id=identity,
                        memory_mib=int(self._takes(container, gpu) * loaded),
                        utilization_percent=container.template.utilization_percent if loaded >= 1 else 5,
                        command=" ".join(container.data["Config"].get("Cmd") or [container.template.image]),
                        started_at=container.started or self._clock(),
                    )
                    for gpu in (self._gpus_of(container) if loaded > 0 else [])
                ]
            return tuple(claims)

    def info(self) -> EngineInfo:
        """The simulated engine."""
        return EngineInfo(
            id="simulated",
            name="docker",
            version="28.5.2",
            api_version="1.51",
            hostname=self._scenario.host,
            capabilities=Capabilities(
                nvidia_driver=True,
                cdi=False,
                runtimes=("nvidia", "runc"),
                default_runtime="runc",
                cgroup_driver="systemd",
            ),
        )

    def has_nvidia_driver(self) -> bool | None:
        """Always true."""
        return True

    def containers(self) -> tuple[Container, ...]:
        """All containers."""
        with self._changed:
            return tuple(self.inspect(identity) for identity in self._containers)

    def inspect(self, ref: str) -> Container:
        """One container in its current state."""
        with self._changed:
            container = self._find(ref)
            return container_from({**container.data, "State": self._state(container)})

    def spec(self, ref: str) -> ContainerSpec:
        """The spec to re-create the same container."""
        with self._changed:
            return spec_from(self._find(ref).data, image_moved=False)

    def create(self, spec: ContainerSpec) -> str:
        """Create a container; its id."""
        with self._changed:
            if any(container.data["Name"] == f"/{spec.name}" for container in self._containers.values()):
                raise EngineError(f"create: Conflict. The container name {spec.name} is already in use")
            base = spec.name.split(".new-")[0]
            image = str(spec.body.get("Image"))
            template = self._templates.get(base) or SimulatedContainer(name=base, image=image, memory_mib=2048)
            return str(self._add(spec.name, spec.body, template).data["Id"])

    def connect(self, ref: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """Connect a container to one more network."""
        with self._changed:
            self._find(ref).data["NetworkSettings"]["Networks"][network] = dict(endpoint)

    def start(self, ref: str) -> None:
        """Start it."""
        with self._changed:
            container = self._find(ref)
            self._gpus_of(container)
            if container.started is None or container.ended is not None:
                self._run(container, self._clock())

    def stop(self, ref: str, timeout_s: int) -> None:
        """Stop it."""
        del timeout_s
        with self._changed:
            container = self._find(ref)
            if container.started is not None and container.ended is None:
                container.past_log = self._log(container)
                self._note(container, "kill", signal=str(SIGTERM.value))
                container.ended = self._clock()
                self._note(container, "die")

    def restart(self, ref: str, timeout_s: int) -> None:
        """Stop and start it."""
        self.stop(ref, timeout_s)
        self.start(ref)

    def pause(self, ref: str) -> None:
        """Pausing is not simulated."""

    def unpause(self, ref: str) -> None:
        """Pausing is not simulated."""

    def start_obstacles(self, ref: str) -> tuple[str, ...]:
        """There are none."""
        with self._changed:
            self._find(ref)
        return ()

    def unlink(self, name: str, alias: str) -> None:
        """Links are not simulated."""

    def rename(self, ref: str, name: str) -> None:
        """Rename it."""
        with self._changed:
            container = self._find(ref)
            if any(peer is not container and peer.data["Name"] == f"/{name}" for peer in self._containers.values()):
                raise EngineError(f"rename: Conflict. The container name {name} is already in use")
            container.data["Name"] = f"/{name}"
            self._note(container, "rename")

    def remove(self, ref: str) -> None:
        """Remove it."""
        with self._changed:
            container = self._find(ref)
            del self._containers[container.data["Id"]]
            self._note(container, "destroy")

    def set_restart_policy(self, ref: str, policy: Mapping[str, Any]) -> None:
        """Change the restart policy."""
        with self._changed:
            self._find(ref).data["HostConfig"]["RestartPolicy"] = dict(policy)

    def networks_of(self, ref: str) -> frozenset[str]:
        """The networks that it is connected to."""
        with self._changed:
            return frozenset(self._find(ref).data["NetworkSettings"]["Networks"])

    def ensure_network(self, name: str, body: Mapping[str, Any]) -> None:
        """Networks are not simulated."""

    def ensure_volume(self, name: str, body: Mapping[str, Any]) -> None:
        """Volumes are not simulated."""

    def layer(self, ref: str) -> Layer:
        """The written files in the scenario."""
        with self._changed:
            files = self._find(ref).template.written
            return Layer(
                size_bytes=sum(files.values()), largest=tuple(sorted(files.items(), key=lambda entry: -entry[1]))
            )

    def images(self) -> tuple[str, ...]:
        """Images are not simulated."""
        return ()

    def image_names(self) -> tuple[str, ...]:
        """The images of the scenario's containers."""
        return tuple(dict.fromkeys(template.image for template in self._scenario.containers))

    def run_once(self, spec: ContainerSpec, limit_s: float) -> bytes:  # noqa: ARG002 - the protocol's
        """Not simulated."""
        raise EngineError(f"{spec.name}: not simulated")

    def image_id(self, image: str) -> str | None:
        """Images are not simulated."""
        del image
        return None

    def image_volumes(self, image: str) -> frozenset[str]:
        """Images are not simulated."""
        del image
        return frozenset()

    def image_environment(self, image: str) -> Mapping[str, str] | None:
        """Images are not simulated."""
        del image
        return None

    def commit_image(self, ref: str, image: str) -> None:
        """Images are not simulated."""
        del image
        with self._changed:
            self._find(ref)

    def remove_image(self, image: str) -> None:
        """Images are not simulated."""

    def device_nodes(self, ref: str) -> frozenset[str] | None:
        """The GPU device nodes inside a running container."""
        with self._changed:
            container = self._find(ref)
            if container.started is None or container.ended is not None:
                return None
            by_uuid = {gpu.uuid: gpu for gpu in self._gpus}
            return frozenset(node for gpu in self._gpus_of(container) if (node := device_node(gpu, by_uuid)))

    def driver_fault(self, ref: str) -> str | None:  # noqa: ARG002 - the protocol's
        """The simulated driver works."""
        return None

    def pids(self, ref: str) -> tuple[int, ...]:
        """The pid of its only process."""
        with self._changed:
            container = self._find(ref)
            if container.started is None or container.ended is not None:
                raise EngineError(f"top: Container {ref[:12]} is not running")
            return (container.pid,)

    def _log(self, container: _Simulated) -> list[tuple[float, bytes]]:
        """Its log lines with timestamps: the startup, and the most recent requests."""
        log = list(container.past_log)
        if container.started is None or (container.ended is not None and log):
            return log
        start, load = container.started, container.template.load_s / self._speed
        end = container.ended if container.ended is not None else self._clock()
        lines = container.template.log or (f"{container.template.name} starting", f"{container.template.name} ready")
        times = [start + load * number / len(lines) for number in range(len(lines))]
        log += [(moment, line.encode()) for moment, line in zip(times, lines, strict=True) if moment <= end]
        failure = container.out_of_memory or container.template.fails
        if failure and container.ended is not None:
            return [*log, *((end, line.encode()) for line in failure.splitlines())]
        served = int((end - start - load) * self._speed / LINE_S)
        for number in range(max(0, served - SERVED_LINES), served):
            client = f"172.18.0.1:{40000 + number * 7 % 9000}"
            line = f'INFO:     {client} - "POST /v1/chat/completions HTTP/1.1" 200 OK'.encode()
            log.append((start + load + (number + 1) * LINE_S / self._speed, line))
        return log

    def last_log(self, ref: str, lines: int) -> tuple[bytes, ...]:
        """The last lines of its log."""
        with self._changed:
            return tuple(line for _, line in self._log(self._find(ref))[-lines:])

    def follow_log(self, ref: str, window: LogWindow) -> "SimulatedStream":
        """Its log, followed."""
        with self._changed:
            container = self._find(ref)
            history = [entry for entry in self._log(container) if window.since is None or entry[0] >= window.since]
        first = history if window.tail is None else history[-window.tail :]

        def chunks(closed: threading.Event) -> Iterator[bytes]:
            new, last_entry = first, history[-1] if history else (0.0, b"")
            while not closed.is_set():
                for moment, line in new:
                    stream = STDERR if b"ERROR" in line or b"Error" in line or b"WARN" in line else STDOUT
                    yield framed(stream, _iso(moment).encode() + b" " + line + b"\n")
                if not window.follow or closed.wait(0.2):
                    return
                with self._changed:
                    lines = self._log(container)
                    has_ended = container.ended is not None
                place = lines.index(last_entry) + 1 if last_entry in lines else 0
                new, last_entry = lines[place:], lines[-1] if lines else last_entry
                if has_ended and not new:
                    return

        return SimulatedStream(chunks)

    def shell_command(self, ref: str) -> tuple[str, ...]:
        """Not simulated."""
        name = self._find(ref).data["Name"].lstrip("/")
        raise Refusal(f"{name} is simulated: there is no shell in it", "leave --demo")

    def events(self) -> "SimulatedStream":
        """The container events from now on."""
        with self._changed:
            start = len(self._events)

        def chunks(closed: threading.Event) -> Iterator[bytes]:
            position = start
            while not closed.is_set():
                with self._changed:
                    self._changed.wait_for(lambda position=position: len(self._events) > position, timeout=0.2)  # type: ignore[misc]
                    new, position = self._events[position:], len(self._events)
                yield from new

        return SimulatedStream(chunks)


class SimulatedStream:
    """A stream of the simulated engine."""

    def __init__(self, chunks: Callable[[threading.Event], Iterator[bytes]]) -> None:
        self._closed = threading.Event()
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks(self._closed)

    def close(self) -> None:
        """End it."""
        self._closed.set()


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def _body_of(template: SimulatedContainer) -> dict[str, Any]:
    requests = []
    if template.gpus:
        request = {"Driver": "nvidia", "Count": 0, "DeviceIDs": list(template.gpus), "Capabilities": [["gpu"]]}
        requests.append(request)
    check = {"Healthcheck": {"Test": ["CMD", "curl", "-f", "http://localhost:8000/health"], "Interval": 10**10}}
    return {
        **(check if template.healthcheck else {}),
        "Image": template.image,
        "Cmd": list(template.command),
        "Env": [f"{name}={value}" for name, value in template.environment.items()],
        "Labels": dict(template.labels),
        "HostConfig": {
            "DeviceRequests": requests,
            "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0},
            "NetworkMode": "bridge",
            "ShmSize": template.shm_mib * 2**20,
        },
    }
