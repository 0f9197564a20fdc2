"""A Docker Engine of the lab's own: from packages that are unpacked and never installed, in namespaces of its own."""

import io
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker

PACKAGES = [
    "docker.io", "containerd", "runc", "busybox-static", "iptables",
    "libip4tc2", "libip6tc2", "libnftnl11", "libmnl0",
    "libnetfilter-conntrack3", "libnfnetlink0", "libxtables12", "libdevmapper1.02.1",
]  # fmt: skip

USER = 61001
GROUP = 61002
"""The ordinary user that gputui runs as, and the group of the engine's socket. Neither needs to be in /etc/passwd."""

# Opens GPU device nodes as a CUDA program does, and holds them until it is stopped: of those that it was given the ones
# that CUDA_VISIBLE_DEVICES names, by rank or by UUID, all without it; of a MIG instance its capability, too. Its
# children do not inherit them, or each would count as a GPU process.
WORKLOAD = """
echo "workload starting, CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES"
n=3
hold() { [ -e "$1" ] && eval "exec $n<$1" && echo "loaded model on $1" && n=$((n+1)); }
case ${CUDA_VISIBLE_DEVICES-all} in GPU-*|'') ;; *) for cap in /dev/nvidia-caps/nvidia-cap*; do hold $cap; done ;; esac
set -- /dev/nvidia[0-9]*
if [ -z "${CUDA_VISIBLE_DEVICES-all}" ]; then
  echo "no GPU is visible"
elif [ -z "$CUDA_VISIBLE_DEVICES" ]; then
  for node in "$@"; do hold $node; done
else
  for place in $(echo "$CUDA_VISIBLE_DEVICES" | tr , ' '); do
    case $place in
      GPU-*) hold /dev/nvidia$((0x$(echo "$place" | cut -c5-12))) ;;
      *) eval "hold \\${$((place+1))}" ;;
    esac
  done
fi
echo "ready"
trap 'exit 0' TERM
while :; do sleep 0.2 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-; done
"""


# As the real one says it where the container may not open its devices.
SMI = """
for node in /dev/nvidia[0-9]*; do
  (: <"$node") 2>&- || { echo "Failed to initialize NVML: Unknown Error"; exit 255; }
done
case "$*" in *-x*) cat /nvidia-smi.xml ;; *) cat /nvidia-smi.txt ;; esac 2>&-
"""


class LabEngine:
    """Started once for all lab tests; tests tell their containers apart by name.

    `before` is what is done in the daemon's namespaces before it starts, `options` are more of the daemon's own.
    """

    def __init__(self, folder: Path, *, before: str = "", options: Sequence[str] = ()) -> None:
        self.before = before
        self._options = options
        self.folder = folder
        self.socket = folder / "docker.sock"
        self._root = folder / "packages"
        self._daemon: subprocess.Popen[bytes] | None = None
        self._client: docker.DockerClient | None = None

    def unpack(self) -> None:
        """Download the packages and unpack them into the lab's folder."""
        debs = self.folder / "debs"
        debs.mkdir()
        command = ["apt-get", "download", "-qq", *PACKAGES]
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if subprocess.run(command, cwd=debs, **quiet, check=False).returncode != 0:
            subprocess.run(["apt-get", "update", "-qq"], check=True, **quiet)
            subprocess.run(command, cwd=debs, check=True)
        for deb in debs.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(deb), str(self._root)], check=True)
        tools = self.folder / "bin"
        tools.mkdir()
        for name in ("iptables", "ip6tables"):
            (tools / name).symlink_to(self._root / "usr/sbin/xtables-nft-multi")
        hook = tools / "nvidia-container-runtime-hook"
        for name in ("hook.py", "smi.py"):
            shutil.copy(Path(__file__).with_name(name), self.folder / name)
        hook.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {self.folder}/hook.py "$@"\n')
        hook.chmod(0o755)

    def _environment(self) -> dict[str, str]:
        libraries = self._root / "usr/lib" / f"{os.uname().machine}-linux-gnu"
        path = [self.folder / "bin", self._root / "usr/bin", self._root / "usr/sbin", "/usr/sbin:/usr/bin:/sbin:/bin"]
        return {
            "PATH": ":".join(str(part) for part in path),
            "LD_LIBRARY_PATH": str(libraries),
            "XTABLES_LIBDIR": str(libraries / "xtables"),
            "HOME": str(self.folder),
        }

    def start(self) -> None:
        """Start the daemon in a mount and a network namespace of its own; returns when it answers."""
        daemon = [
            "dockerd", "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec"),
            "-H", f"unix://{self.socket}", "-p", str(self.folder / "pid"), "--group", str(GROUP),
            *self._options,
        ]  # fmt: skip
        script = f"mount --make-rprivate / && ip link set lo up && {self.before} exec {' '.join(daemon)}"
        self._run_in_namespaces(script, self._environment())

    def _run_in_namespaces(self, script: str, environment: dict[str, str]) -> None:
        """Run the script that becomes the daemon; returns when that answers."""
        for left in ("pid", "exec"):  # a daemon that was killed leaves both
            path = self.folder / left
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        with (self.folder / "dockerd.log").open("ab") as log:
            self._daemon = subprocess.Popen(
                ["unshare", "-m", "-n", "sh", "-c", script],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        until = time.monotonic() + 60
        while not self._answers():
            if self._daemon.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the engine did not start: {self.log()}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        # A client that fails to connect leaves its socket open, so it is not made before there is something to talk to.
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket))
            except OSError:
                return False
        return bool(self.client().ping())

    def log(self) -> str:
        return "\n".join((self.folder / "dockerd.log").read_text(errors="replace").splitlines()[-5:])

    def stop(self) -> None:
        """Stop the daemon, and end whatever it started."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._daemon is None:
            return
        self._daemon.send_signal(signal.SIGTERM)
        try:
            self._daemon.wait(20)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait()
        self._daemon = None
        self._end_what_is_left()

    def _end_what_is_left(self) -> None:
        """A container that was being started when its daemon stopped may live on, and hold its GPU, unknown to the next
        daemon: that finds its state gone, which is cleared before it starts."""
        shims = {
            pid for pid, _, command in processes() if "containerd-shim" in command and f"{self.folder}/" in command
        }
        for pid, parent, _ in processes():
            if pid in shims or parent in shims:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    @property
    def pid(self) -> int:
        """The daemon's process, in whose namespaces its networks are."""
        assert self._daemon is not None
        return self._daemon.pid

    def restart(self) -> None:
        """Stop the daemon, and start it again; it starts the containers whose restart policy says so."""
        self.stop()
        self.start()

    def client(self) -> docker.DockerClient:
        if self._client is None:
            self._client = docker.DockerClient(base_url=f"unix://{self.socket}", version="1.41", timeout=30)
        return self._client

    def make_image(self, tag: str, *, variables: tuple[str, ...] = ()) -> None:
        """An image of a static busybox with the workload in it."""
        busybox = (self._root / "bin/busybox").read_bytes()
        applets = [
            "sh",
            "ls",
            "env",
            "sleep",
            "cat",
            "seq",
            "httpd",
            "nc",
            "true",
            "false",
            "test",
            "echo",
            "touch",
            "wget",
            "nslookup",
            "tail",
            "dd",
            "mkdir",
            "tr",
            "cut",
            "timeout",
        ]
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as tar:
            _add(tar, "bin/busybox", busybox)
            for applet in applets:
                link = tarfile.TarInfo(f"bin/{applet}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
            _add(tar, "bin/nvidia-smi", b"#!/bin/sh\n" + SMI.encode())
            _add(tar, "workload", b"#!/bin/sh\n" + WORKLOAD.encode())
        changes = ["ENV PATH=/bin", 'CMD ["/workload"]', *(f"ENV {line}" for line in variables)]
        repository, _, version = tag.partition(":")
        self.client().api.import_image_from_data(stream.getvalue(), repository=repository, tag=version, changes=changes)

    def run(self, name: str, gpus: list[str] | None, *, claim_mib: int = 256, **options: Any) -> str:
        """Run a workload as somebody else would, with docker's own client library; its id."""
        requests = [docker.types.DeviceRequest(device_ids=gpus, capabilities=[["gpu"]])] if gpus else []
        environment = {"CLAIM_MIB": str(claim_mib), **options.pop("environment", {})}
        options.setdefault("command", None)
        container = self.client().containers.run(
            options.pop("image", "workload:1"), name=name, detach=True, device_requests=requests,
            environment=environment, stop_signal="SIGTERM", **options,
        )  # fmt: skip
        return str(container.id)

    def remove_all(self) -> None:
        client = self.client()
        for container in client.containers.list(all=True):
            container.remove(force=True)
        client.networks.prune()


def processes() -> Iterator[tuple[int, int, str]]:
    """The pid, the parent's pid and the command line of every process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                yield int(entry.name), int(after_name[1]), (entry / "cmdline").read_text(errors="replace")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH
    tar.addfile(entry, io.BytesIO(data))


def as_user(command: list[str]) -> list[str]:
    """The command as an ordinary user of the engine's group, who is not root and has no capability.

    The shell in between is what checks the rights: a program that setpriv starts itself is found with root's.
    """
    drop = ["setpriv", f"--reuid={USER}", f"--regid={GROUP}", "--clear-groups", "--no-new-privs", "--"]
    return [*drop, "sh", "-c", 'exec "$@"', "sh", *command]
