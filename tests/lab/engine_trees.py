"""Other container engines than the machine's own Debian has, each in a file tree of its own.

A tree is made by debootstrap from the mirror that the machine's apt uses, once, and kept in the cache of the user.
An engine runs in a copy of its tree that is thrown away (an overlay), in namespaces of its own.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.engine import GROUP, LabEngine
from tests.lab.hook import devices

DOCKER = ("docker.io", "ca-certificates")
PODMAN = ("podman", "crun", "netavark", "aardvark-dns", "nftables")
COMMON = ("iptables", "procps", "python3-minimal", "busybox-static")
MONITORS = ("nvtop",)
"""What `bench/` sets beside gputui."""
PACKAGES = {
    "bookworm": (*COMMON, *PODMAN),
    "trixie": (*COMMON, *DOCKER, *PODMAN, *MONITORS),
    "sid": (*COMMON, *DOCKER, *PODMAN),
}
KIND = "nvidia.com/gpu"


def cache() -> Path:
    """Where trees are kept: outside the repository, for all runs."""
    base = os.environ.get("XDG_CACHE_HOME") or "/root/.cache"
    return Path(base) / "gputui-lab"


def tree(suite: str) -> Path:
    """The file tree of a Debian suite with its engines; made where there is none yet."""
    folder = cache()
    folder.mkdir(parents=True, exist_ok=True)
    wanted = ",".join(PACKAGES[suite])
    place = folder / suite
    mark = folder / f"{suite}.packages"
    with (folder / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            shutil.rmtree(place, ignore_errors=True)
            command = [*_debootstrap(folder), "--variant=minbase", f"--include={wanted}", suite, str(place), mirror()]
            environment = {**os.environ, "DEBOOTSTRAP_DIR": str(folder / "debootstrap/usr/share/debootstrap")}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise RuntimeError(f"debootstrap {suite}: {done.stdout[-500:]} {done.stderr[-500:]}")
            mark.write_text(wanted)
    return place


def mirror() -> str:
    """The Debian mirror that the machine's apt uses."""
    lines = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return next(line.partition(" ")[2] for line in lines if line.startswith("Debian "))


def _debootstrap(folder: Path) -> list[str]:
    place = folder / "debootstrap"
    if not place.exists():
        debs = folder / "debs"
        debs.mkdir(exist_ok=True)
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["apt-get", "download", "-qq", "debootstrap"], cwd=debs, check=True, **quiet)
        subprocess.run(["dpkg-deb", "-x", str(next(debs.glob("debootstrap*.deb"))), str(place)], check=True)
    return ["sh", str(place / "usr/sbin/debootstrap")]


@dataclass(frozen=True)
class Variant:
    """One engine of the matrix. `driver`: NVIDIA's hook is installed; `runtime`: its runtime is registered."""

    name: str
    suite: str
    program: str = "dockerd"
    cdi: bool | None = None
    driver: bool = True
    runtime: bool = True


# A device folder of the engine's own, with the GPUs' nodes in it, so that privileged containers see them.
_DEVICES = """
mount -t tmpfs -o mode=755 dev {root}/dev
for node in null:3 zero:5 full:7 random:8 urandom:9; do mknod -m 666 {root}/dev/${{node%:*}} c 1 ${{node#*:}}; done
mknod -m 666 {root}/dev/tty c 5 0; mknod -m 666 {root}/dev/ptmx c 5 2; mknod -m 666 {root}/dev/fuse c 10 229
mkdir {root}/dev/pts {root}/dev/shm {root}/dev/mqueue {root}/dev/net
mount -t devpts devpts {root}/dev/pts; mount -t tmpfs shm {root}/dev/shm
ln -s /proc/self/fd {root}/dev/fd
for node in {nodes}; do mkdir -p $(dirname {root}/dev/$node); mknod -m 666 {root}/dev/$node c 1 3; done
"""

_INSIDE = """
set -e
mount --make-rprivate /
ip link set lo up
mkdir -p {folder}/upper {folder}/work {folder}/root
mount -t overlay overlay -o lowerdir={tree},upperdir={folder}/upper,workdir={folder}/work {folder}/root
mount --rbind /proc {folder}/root/proc
mount --rbind /sys {folder}/root/sys
{devices}
mount -t tmpfs run {folder}/root/run; mount -t tmpfs tmp {folder}/root/tmp
mkdir -p {folder}/root{folder} {folder}/root/etc/cdi
mount --bind {folder} {folder}/root{folder}
mount --bind {folder}/etc/cdi {folder}/root/etc/cdi
mkdir -p {folder}/root/etc/containers
echo '[containers]' > {folder}/root/etc/containers/containers.conf
echo 'default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]' >> {folder}/root/etc/containers/containers.conf
umount {folder}/root/sys/fs/cgroup/unified 2>/dev/null || true
cd {folder}/root
pivot_root . mnt
umount -l /mnt
exec env PATH={folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin {command}
"""
# Not chroot: what enters a container's mount namespace later (`exec`, hooks) comes out at the namespace's own root.


def device_script(root: str, state: Path) -> str:
    """Commands that make the devices of an engine."""
    nodes = " ".join(dict.fromkeys(" ".join(one["nodes"] for one in devices(state)).split()))
    return _DEVICES.format(root=root, nodes=nodes)


class TreeEngine(LabEngine):
    """An engine that runs in a tree."""

    def __init__(self, folder: Path, variant: Variant, state: Path) -> None:
        super().__init__(folder)
        self.variant = variant
        self.socket = folder / "engine.sock"
        self._state = state

    def unpack(self) -> None:
        """Make its tree, its configuration, and the CDI specification of the driver's GPUs."""
        self._root = tree(self.variant.suite)
        tools = self.folder / "bin"
        tools.mkdir()
        for name in ("hook.py", "smi.py"):
            shutil.copy(Path(__file__).with_name(name), self.folder / name)
        hook = f'#!/bin/sh\nexec /usr/bin/python3 -I -S {self.folder}/hook.py "$@"\n'
        if self.variant.driver:
            _write_program(tools / "nvidia-container-runtime-hook", hook)
        if self.variant.runtime:
            write_runtime(self.folder, hook)
        configuration: dict[str, Any] = {"storage-driver": "overlay2"}
        if self.variant.runtime:
            configuration["runtimes"] = {"nvidia": {"path": str(self.folder / "runtime/nvidia-container-runtime")}}
        if self.variant.cdi is not None:
            configuration["features"] = {"cdi": self.variant.cdi}
        if self.variant.cdi is not False:
            configuration["cdi-spec-dirs"] = [str(self.folder / "etc/cdi")]
        (self.folder / "daemon.json").write_text(json.dumps(configuration))
        self.write_cdi()

    def write_cdi(self) -> None:
        """The specification, as `nvidia-ctk cdi generate` writes it: by index and by UUID, and all."""
        known = devices(self._state)

        def edits(nodes: str) -> dict[str, Any]:
            return {"deviceNodes": [{"path": f"/dev/{node}"} for node in dict.fromkeys(nodes.split())]}

        listed = [
            {"name": name, "containerEdits": edits(one["nodes"])}
            for one in known
            for name in (one["label"], one["uuid"])
        ]
        listed.append({"name": "all", "containerEdits": edits(" ".join(one["nodes"] for one in known))})
        library = self.folder / "libcuda.so.1"
        library.write_text("the driver's library")
        mounts = [{"hostPath": str(library), "containerPath": "/libcuda.so.1", "options": ["ro", "nosuid", "bind"]}]
        common = {"env": ["NVIDIA_VISIBLE_DEVICES=void"], "mounts": mounts}
        spec = {"cdiVersion": "0.5.0", "kind": KIND, "devices": listed, "containerEdits": common}
        (self.folder / "etc/cdi/nvidia.json").write_text(json.dumps(spec))

    def start(self) -> None:
        """Start it; returns when it answers."""
        where = self.folder
        if self.variant.program == "podman":
            command = f"podman --root {where}/data --runroot {where}/exec system service --time=0 unix://{self.socket}"
        else:
            command = (
                f"dockerd --data-root {where}/data --exec-root {where}/exec -H unix://{self.socket} -p {where}/pid "
                f"--group {GROUP} --config-file {where}/daemon.json"
            )
        made = device_script(f"{where}/root", self._state)
        script = _INSIDE.format(folder=where, tree=self._root, devices=made, command=command)
        self._run_in_namespaces(script, dict(os.environ))
        os.chown(self.socket, 0, GROUP)
        self.socket.chmod(0o660)

    def stop(self) -> None:
        """Stop it and its containers, which outlive Podman."""
        if self._daemon is not None and self._daemon.poll() is None:
            self.remove_all()
        super().stop()
        self._end_monitors()
        for line in Path("/proc/self/mounts").read_text().splitlines():
            assert str(self.folder) not in line, "nothing of it is mounted outside its namespaces"

    def _end_monitors(self) -> None:
        """Podman leaves a process behind for each `exec`, for five minutes."""
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                is_monitor = entry.name.isdigit() and (entry / "comm").read_text().strip() == "conmon"
                if is_monitor and str(self.folder).encode() in (entry / "cmdline").read_bytes():
                    os.kill(int(entry.name), signal.SIGKILL)


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def write_runtime(folder: Path, hook: str) -> None:
    """A runc that adds the hook to what it is to create, as nvidia-container-runtime does in its legacy mode."""
    place = folder / "runtime"
    place.mkdir()
    _write_program(place / "hook", hook)
    script = f"""#!/usr/bin/python3 -IS
import json, os, sys
words = sys.argv[1:]
if "create" in words:
    bundle = words[words.index("--bundle") + 1] if "--bundle" in words else "."
    path = os.path.join(bundle, "config.json")
    config = json.load(open(path))
    prestart = config.setdefault("hooks", {{}}).setdefault("prestart", [])
    prestart.append({{"path": "{place}/hook", "args": ["hook", "prestart"]}})
    json.dump(config, open(path, "w"))
os.execvp("runc", ["runc", *words])
"""
    _write_program(place / "nvidia-container-runtime", script)
