"""A Docker Engine (or a compatible one), through docker-py."""

import base64
import json
import platform
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from gputui.domain.container import LABEL_PROBE, Container, ContainerSpec, EngineInfo, Layer
from gputui.domain.errors import EngineError, GputuiError, NotFound, Refusal, Unreachable
from gputui.domain.launch import variables_in
from gputui.domain.log import LogWindow
from gputui.domain.text import clean, mapping, whole_number
from gputui.engine.capabilities import capabilities_of, is_podman
from gputui.engine.engine_address import engine_address
from gputui.engine.inspect_data import GPU_NODE, container_from, spec_from
from gputui.engine.list_line import YOUNG_S, ListLine, list_line
from gputui.engine.start_needs import StartNeeds, is_gone, is_there, readable_name, start_needs

if TYPE_CHECKING:
    from gputui.engine.docker_connection import Client, DockerConnection, DockerStream

CALL_TIMEOUT_S = 20
PATIENT_TIMEOUT_S = 300
"""For an apply: creating or removing a container on a busy disk takes minutes, and giving up early leaves remains."""
LAYER_PATHS = 500
"""Maximum number of changed paths whose sizes are queried."""
LARGEST = 5
EXEC_TRIES = 4
SMI_TIMEOUT_S = 10
RUN_POLL_S = 0.1
PROBE_LEFT_S = 120
DRIVER_FAULTS = ("Failed to initialize NVML", "NVIDIA-SMI has failed")
GO_MODE_DIRECTORY = 1 << 31
"""`fs.ModeDir` of Go's io/fs, whose mode bits the engine reports."""


def _guess_no_character_sets() -> None:
    """Keep requests from loading charset_normalizer, which takes 3 MB: it is optional (release notes of requests
    2.32.0), and nothing here needs charset detection."""
    sys.modules.setdefault("charset_normalizer", None)  # type: ignore[arg-type]
    warnings.filterwarnings("ignore", message="Unable to find acceptable character detection")


class DockerEngine:
    """Implements `Engine` over a connection to one.

    Raises:
        UsageError: both host and context are given, or the context does not exist.
    """

    def __init__(
        self,
        host: str | None = None,
        context: str | None = None,
        timeout_s: int = CALL_TIMEOUT_S,
    ) -> None:
        self._address = engine_address(host, context)
        self._context = context
        self._timeout_s = timeout_s
        self._connecting = threading.Lock()
        self._connected: DockerConnection | None = None
        self._ensuring = threading.Lock()
        self._inspected: dict[str, tuple[ListLine, Container]] = {}
        self._listed_at = 0.0

    @property
    def _connection(self) -> "DockerConnection":
        """Created on the first call, because importing docker-py takes as long as drawing the GPUs."""
        with self._connecting:
            if self._connected is None:
                _guess_no_character_sets()
                from gputui.engine.docker_connection import DockerConnection  # noqa: PLC0415

                self._connected = DockerConnection(self._address, self._timeout_s)
            return self._connected

    def close(self) -> None:
        """Close the connections; the next call opens a new one."""
        if self._connected is not None:
            self._connected.close()

    @property
    def socket(self) -> Path | None:
        """The Unix socket, if the engine is reached through one."""
        return self._address.socket

    def info(self) -> EngineInfo:
        """Which engine this is."""
        info = self._connection.call("info", lambda client: client.info())
        version = self._connection.version()
        return EngineInfo(
            id=clean(str(info.get("ID") or info.get("Name") or "engine"), 120),
            name="podman" if is_podman(version) else "docker",
            version=clean(str(version.get("Version", "")), 60),
            api_version=clean(str(version.get("ApiVersion", "")), 20),
            hostname=clean(str(info.get("Name", "")), 120),
            capabilities=capabilities_of(info, version, same_host=self.socket is not None),
        )

    def has_nvidia_driver(self) -> bool | None:
        """Probed with an invalid request that has both a count and device names: an engine without the driver reports
        that it has none, and one with the driver rejects the contradiction. Neither starts anything."""
        image = next(iter(self.images()), None)
        if image is None:
            return None
        request = {"Driver": "nvidia", "Count": 1, "DeviceIDs": ["0"], "Capabilities": [["gpu"]]}
        host = {"DeviceRequests": [request], "NetworkMode": "none"}
        body = {"Image": image, "Cmd": ["true"], "Labels": {LABEL_PROBE: "1"}, "HostConfig": host}
        try:
            self.run_once(ContainerSpec(name=f"gputui-probe-{uuid4().hex[:12]}", body=body), limit_s=0.0)
        except EngineError as error:
            if "could not select device driver" in error.what:
                return False
            return True if "Count and DeviceIDs" in error.what else None
        return None  # it dropped the request

    def _remove_old_probes(self) -> None:
        """Remove probes left by an interrupted gputui; a recent one may belong to another running instance."""
        filters = {"label": LABEL_PROBE}
        lines = self._connection.call("list containers", lambda client: client.containers(all=True, filters=filters))
        for line in lines:
            if time.time() - (whole_number(line.get("Created")) or 0) > PROBE_LEFT_S:
                with suppress(EngineError):  # somebody else was faster
                    self._discard(str(line["Id"]))

    def _discard(self, ref: str) -> None:
        self._connection.call("remove", lambda client: client.remove_container(ref, force=True, v=True))

    def containers(self) -> tuple[Container, ...]:
        """All containers; a container is only inspected again if its list entry shows more than the passage of time."""
        entries = [
            line
            for line in self._connection.call("list containers", lambda client: client.containers(all=True))
            if mapping(line).get("Id")
        ]
        previous = self._inspected if time.monotonic() - self._listed_at < YOUNG_S / 2 else {}
        inspected: dict[str, tuple[ListLine, Container]] = {}
        for entry in entries:
            line, cached = list_line(entry), previous.get(entry["Id"])
            if cached is None or not line.is_older(cached[0]):
                try:
                    cached = (line, self.inspect(entry["Id"]))
                except NotFound:
                    continue  # it was removed in the meantime
            inspected[entry["Id"]] = (line, cached[1])
        self._inspected, self._listed_at = inspected, time.monotonic()
        return tuple(container for _, container in inspected.values())

    def inspect(self, ref: str) -> Container:
        """One container in its current state."""
        return container_from(
            self._connection.call(f"inspect {ref[:40]}", lambda client: client.inspect_container(ref))
        )

    def spec(self, ref: str) -> ContainerSpec:
        """The spec to re-create the same container."""
        data = self._connection.call(f"inspect {ref[:40]}", lambda client: client.inspect_container(ref))
        return spec_from(data, image_moved=self.image_id(data["Config"]["Image"]) != data.get("Image"))

    def create(self, spec: ContainerSpec) -> str:
        """Create a container; its id."""
        created = self._connection.call(
            f"create {spec.name}", lambda client: client.create_container_from_config(dict(spec.body), name=spec.name)
        )
        return str(created["Id"])

    def connect(self, ref: str, network: str, endpoint: Mapping[str, Any]) -> None:
        """Connect a container to one more network."""
        body = {"Container": ref, "EndpointConfig": dict(endpoint)}

        def call(client: "Client") -> None:
            client._raise_for_status(client._post_json(client._url("/networks/{0}/connect", network), data=body))

        self._connection.call(f"connect to {network}", call)

    def start(self, ref: str) -> None:
        """Start it."""
        self._connection.call("start", lambda client: client.start(ref))

    def stop(self, ref: str, timeout_s: int) -> None:
        """Stop it; if the call times out, the daemon still continues, so the state decides."""
        try:
            self._connection.call("stop", lambda client: client.stop(ref, timeout=timeout_s))
        except Unreachable:
            if self.inspect(ref).running:
                raise

    def restart(self, ref: str, timeout_s: int) -> None:
        """Stop and start it."""
        self._connection.call("restart", lambda client: client.restart(ref, timeout=timeout_s))

    def pause(self, ref: str) -> None:
        """Pause its processes."""
        self._connection.call("pause", lambda client: client.pause(ref))

    def unpause(self, ref: str) -> None:
        """Resume its processes."""
        self._connection.call("unpause", lambda client: client.unpause(ref))

    def unlink(self, name: str, alias: str) -> None:
        """Remove it by its path; once the target container is removed, the engine no longer knows the link."""
        path = f"{name}/{alias}"
        self._connection.call(f"unlink {path}", lambda client: client.remove_container(path, link=True))

    def start_obstacles(self, ref: str) -> tuple[str, ...]:
        """From its inspect data, the engine's answers, and host files if the engine runs on this host."""
        data = self._connection.call(f"inspect {ref[:40]}", lambda client: client.inspect_container(ref))
        needs = start_needs(data)
        obstacles = [
            f"the container {fault}, and it uses the {resource} of that"
            for resource, container in needs.namespaces.items()
            if (fault := self._dependency_fault(container, must_run=not resource.startswith("volumes")))
        ]
        obstacles += [
            f"the container {fault}, and it is linked to that"
            for container in needs.links
            if (fault := self._dependency_fault(container, must_run=True))
        ]
        obstacles += [
            f"its network {readable_name(name)} is not there"
            for name, identity in needs.networks.items()
            if self._is_unknown(lambda client, network=identity: client.inspect_network(network))  # type: ignore[misc]
        ]
        sees_host = self._sees_host(needs)
        obstacles += [
            f"its volume {readable_name(name)} {fault}"
            for name in needs.volumes
            if (fault := self._volume_fault(name, sees_host=sees_host))
        ]
        if needs.image and self._is_unknown(lambda client: client.inspect_image(needs.image)):
            obstacles.append(f"its image {readable_name(needs.image.removeprefix('sha256:'))} is not there")
        if sees_host:
            obstacles += [f"{readable_name(path)} is not there" for path in needs.paths if is_gone(path)]
        return tuple(obstacles)

    def _sees_host(self, needs: StartNeeds) -> bool:
        """Whether the paths of the engine's host are those of this one: a file that the engine keeps exists here, or it
        may exist in a directory that this user cannot read, on a host of the same name. Otherwise the socket leads to
        another host, or this process runs in a container."""
        if self.socket is None or not needs.files or is_gone(needs.files):
            return False
        return is_there(needs.files) or self.info().hostname == platform.node()

    def _dependency_fault(self, ref: str, *, must_run: bool) -> str | None:
        """The problem with a container that this one depends on, if there is one."""
        try:
            container = self.inspect(ref)
        except NotFound:
            return f"{readable_name(ref)} is not there"
        runs = container.running or container.state == "paused"
        return f"{container.name} does not run" if must_run and not runs else None

    def _is_unknown(self, ask: "Callable[[Client], object]") -> bool:
        try:
            self._connection.call("inspect", ask)
        except NotFound:
            return True
        except EngineError:
            return False
        return False

    def _volume_fault(self, name: str, *, sees_host: bool) -> str | None:
        try:
            volume = self._connection.call("inspect volume", lambda client: client.inspect_volume(name))
        except NotFound:
            return "is not there"
        except EngineError as error:
            return f"cannot be used: {error.what}"
        device = str(mapping(mapping(volume).get("Options")).get("device") or "")
        if sees_host and mapping(volume).get("Driver") == "local" and is_gone(device):
            return f"lies at {readable_name(device)}, which is not there"
        return None

    def rename(self, ref: str, name: str) -> None:
        """Rename it."""
        self._connection.call(f"rename to {name}", lambda client: client.rename(ref, name))

    def remove(self, ref: str) -> None:
        """Remove a container by force, but never its volumes."""
        self._connection.call("remove", lambda client: client.remove_container(ref, force=True, v=False))

    def set_restart_policy(self, ref: str, policy: Mapping[str, Any]) -> None:
        """Change the restart policy."""
        self._connection.call("update", lambda client: client.update_container(ref, restart_policy=dict(policy)))

    def networks_of(self, ref: str) -> frozenset[str]:
        """The networks that it is connected to."""
        data = self._connection.call(f"inspect {ref[:40]}", lambda client: client.inspect_container(ref))
        return frozenset((data.get("NetworkSettings") or {}).get("Networks") or {})

    def ensure_network(self, name: str, body: Mapping[str, Any]) -> None:
        """Create a network unless one with that name exists."""
        # Two simultaneous calls would create two networks of the same name, and neither could be used.
        with self._ensuring:
            networks = self._connection.call("list networks", lambda client: client.networks(names=[name]))
            if not any(network.get("Name") == name for network in networks):
                self._post(f"create network {name}", "/networks/create", {**body, "Name": name, "CheckDuplicate": True})

    def ensure_volume(self, name: str, body: Mapping[str, Any]) -> None:
        """Create a volume; the engine ignores a repeated request."""
        self._post(f"create volume {name}", "/volumes/create", {**body, "Name": name})

    def _post(self, action: str, path: str, body: Mapping[str, Any]) -> None:
        self._connection.call(
            action, lambda client: client._raise_for_status(client._post_json(client._url(path), data=body))
        )

    def layer(self, ref: str) -> Layer:
        """What it wrote outside its volumes; the size of a changed path comes from the header of its archive."""
        data = self._connection.call(
            "measure",
            lambda client: client._result(
                client._get(client._url("/containers/{0}/json", ref), params={"size": True}), json=True
            ),
        )
        changes = self._connection.call("list changes", lambda client: client.diff(ref)) or []
        paths = [str(change["Path"]) for change in changes if change.get("Kind") in (0, 1)]
        sizes = [(path, self._size_of(ref, path)) for path in _leaves(paths)[:LAYER_PATHS]]
        largest = sorted(((clean(path, 200), size) for path, size in sizes if size), key=lambda entry: -entry[1])
        size = whole_number(data.get("SizeRw"), least=0)
        return Layer(size_bytes=size, largest=tuple(largest[:LARGEST]))

    def _size_of(self, ref: str, path: str) -> int:
        """The size of a file in a container in bytes; 0 if it is not a file, or missing."""

        def call(client: "Client") -> int:
            response = client.head(client._url("/containers/{0}/archive", ref), params={"path": path}, timeout=20)
            header = response.headers.get("X-Docker-Container-Path-Stat")
            stat = json.loads(base64.b64decode(header)) if header else {}
            mode, size = (whole_number(stat.get(key), least=0) or 0 for key in ("mode", "size"))
            return 0 if mode & GO_MODE_DIRECTORY else size

        try:
            return self._connection.call("measure", call)
        except GputuiError:
            return 0

    def images(self) -> tuple[str, ...]:
        """The ids of the images, newest first."""
        return tuple(str(image["Id"]) for image in self._connection.call("list images", lambda client: client.images()))

    def image_names(self) -> tuple[str, ...]:
        """The names of the images, newest first."""
        images = self._connection.call("list images", lambda client: client.images())
        names = [clean(str(name), 300) for image in images for name in image.get("RepoTags") or []]
        return tuple(name for name in dict.fromkeys(names) if "<none>" not in name)

    def run_once(self, spec: ContainerSpec, limit_s: float) -> bytes:
        """Run a container to completion; it is always removed, with the volumes that its image declares."""
        self._remove_old_probes()
        ref = self.create(spec)
        try:
            self.start(ref)
            deadline = time.monotonic() + limit_s
            while self.inspect(ref).running:
                if time.monotonic() > deadline:
                    raise EngineError(f"{spec.name} did not end within {limit_s:.0f} s")
                time.sleep(RUN_POLL_S)
            return bytes(self._connection.call("logs", lambda client: client.logs(ref, stream=False)))
        finally:
            with suppress(EngineError):  # the next probe removes it
                self._discard(ref)

    def image_id(self, image: str) -> str | None:
        """The id of an image."""
        return str(self._image(image).get("Id") or "") or None

    def image_volumes(self, image: str) -> frozenset[str]:
        """The mount points of its volumes."""
        return frozenset((self._image(image).get("Config") or {}).get("Volumes") or {})

    def image_environment(self, image: str) -> Mapping[str, str] | None:
        """The variables that an image sets."""
        image_data = self._image(image)
        return variables_in(mapping(image_data.get("Config")).get("Env")) if image_data else None

    def _image(self, image: str) -> Mapping[str, Any]:
        """The inspect data of an image; empty if it does not exist."""
        try:
            return dict(self._connection.call("inspect image", lambda client: client.inspect_image(image)))
        except EngineError:
            return {}

    def commit_image(self, ref: str, image: str) -> None:
        """Save its file system as an image; the container is paused meanwhile."""
        name, _, tag = image.partition(":")
        self._connection.call(f"commit to {image}", lambda client: client.commit(ref, repository=name, tag=tag))

    def remove_image(self, image: str) -> None:
        """Remove an image."""
        try:
            self._connection.call(f"remove image {image}", lambda client: client.remove_image(image))
        except NotFound:
            return

    def device_nodes(self, ref: str) -> frozenset[str] | None:
        """The nodes that `ls /dev` lists inside; an unprivileged user cannot see them from outside."""

        for _ in range(EXEC_TRIES):
            code, output = self._exec(ref, ["ls", "/dev"])
            if code != 0:
                return None
            names = output.decode(errors="replace").split()
            if names:  # /dev is never empty; Docker 20.10 occasionally loses all output
                return frozenset(f"/dev/{name}" for name in names if GPU_NODE.match(name))
        return None

    def driver_fault(self, ref: str) -> str | None:
        """By `nvidia-smi -L`, which the toolkit injects into containers. It is killed if it hangs, and only messages
        that the driver is unusable count, because the program may fail for other reasons."""
        code, output = self._exec(ref, ["timeout", "-k", "2", str(SMI_TIMEOUT_S), "nvidia-smi", "-L"])
        text = clean(output.decode(errors="replace").strip(), 200)
        return text if code and text.startswith(DRIVER_FAULTS) else None

    def _exec(self, ref: str, command: list[str]) -> tuple[int | None, bytes]:
        """The exit code (None if it could not be run) and the output of a program in a running container."""

        def call(client: "Client") -> tuple[int | None, bytes]:
            execution = client.exec_create(ref, command, stderr=False)
            output = client.exec_start(execution["Id"])
            return client.exec_inspect(execution["Id"]).get("ExitCode"), output

        try:
            return self._connection.call("exec", call)
        except EngineError:
            return None, b""

    def pids(self, ref: str) -> tuple[int, ...] | None:
        """The host pids of its processes from `docker top`, which uses the host's `ps`; minimal hosts lack it.
        Podman would run the container's `ps`, with container pids, unless one of its own columns is requested."""
        columns = "hpid" if is_podman(self._connection.version()) else None
        try:
            top = self._connection.call("top", lambda client: client.top(ref, ps_args=columns))
        except NotFound:
            raise
        except EngineError:
            return None
        titles = [str(title) for title in top.get("Titles") or []]
        column = next((titles.index(title) for title in ("PID", "HPID") if title in titles), 1)
        rows = [row for row in top.get("Processes") or [] if len(row) > column]
        return tuple(pid for row in rows if (pid := whole_number(row[column], least=1)) is not None)

    def last_log(self, ref: str, lines: int) -> tuple[bytes, ...]:
        """The last lines of its log."""
        text = self._connection.call("logs", lambda client: client.logs(ref, tail=lines, stream=False))
        return tuple(bytes(text).splitlines())

    def follow_log(self, ref: str, window: LogWindow) -> "DockerStream":
        """Its log, on a separate connection."""
        return self._connection.log(ref, window)

    def shell_command(self, ref: str) -> tuple[str, ...]:
        """With the engine's command-line client, which handles terminals in containers."""
        names = ("podman", "docker") if is_podman(self._connection.version()) else ("docker",)
        program = next((path for name in names if (path := shutil.which(name))), None)
        if program is None:
            raise Refusal(f"there is no {' or '.join(names)} command on this machine", "install it, or use its PATH")
        options: list[str] = []
        if Path(program).name == "podman" and self.socket is not None:
            options = ["--url", f"unix://{self.socket}"]
        elif self._context:
            options = ["--context", self._context]
        elif self.socket is not None:
            options = ["--host", f"unix://{self.socket}"]
        else:
            options = ["--host", self._address.url]
        shell = "command -v bash >/dev/null && exec bash || exec sh"
        return (program, *options, "exec", "--interactive", "--tty", ref, "sh", "-c", shell)

    def events(self) -> "DockerStream":
        """The container events, on a separate connection."""
        return self._connection.stream("events", lambda client: client.events(filters={"type": "container"}))


def _leaves(paths: Sequence[str]) -> list[str]:
    """The paths without parents of other paths: each changed file in a changed directory is listed too."""
    folders = {path[:place] for path in paths for place, sign in enumerate(path) if sign == "/"}
    return [path for path in paths if path not in folders]
