"""The stand-in driver: the library, its state, and who holds memory."""

import subprocess
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.lab.claims import find_claims, instances_of, replace_text

HERE = Path(__file__).resolve().parent


def nvml_header() -> Path:
    """The folder of nvml.h, which comes with the package nvidia-nvml-dev."""
    import nvidia

    for folder in nvidia.__path__:
        for header in Path(folder).rglob("nvml.h"):
            return header.parent
    raise FileNotFoundError("nvml.h: the package nvidia-nvml-dev is not installed")


def build_library(folder: Path) -> Path:
    library = folder / "libnvidia-ml.so.1"
    source = HERE / "nvml_stand_in.c"
    command = [
        "gcc",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        "-shared",
        "-fPIC",
        "-Wl,-soname,libnvidia-ml.so.1",
        "-I",
        str(nvml_header()),
    ]
    subprocess.run([*command, "-o", str(library), str(source), "-lpthread", "-ldl"], check=True)
    return library


@dataclass(frozen=True)
class StandInGpu:
    index: int
    uuid: str
    name: str = "NVIDIA H100 80GB HBM3"
    cc: str = "9.0"
    total: int = 81559
    reserved: int = 551
    base: int = 4
    util: int = 0
    temp: int = 34
    power: int = 71000
    limit: int = 700000
    clock: int = 345
    mig: int = 0
    minor: int | None = None
    buswidth: int = 5120
    memclock: int = 2619
    cores: int = 16896
    links: str = ""
    numa: int = 0
    slowdown: int = 87
    width: int = 16
    ecc: int = 0
    remap: int = 0
    recovery: int = 0
    xid: int = 0

    def line(self) -> str:
        values = {
            "uuid": self.uuid, "name": self.name, "bus": f"00000000:{0x1B + 0x11 * self.index:02X}:00.0",
            "minor": self.index if self.minor is None else self.minor, "cc": self.cc, "total": self.total,
            "reserved": self.reserved, "base": self.base, "util": self.util, "temp": self.temp, "power": self.power,
            "limit": self.limit, "clock": self.clock, "mig": self.mig,
            "buswidth": self.buswidth, "memclock": self.memclock, "cores": self.cores, "links": self.links,
            "numa": self.numa, "slowdown": self.slowdown, "width": self.width, "ecc": self.ecc, "remap": self.remap,
            "recovery": self.recovery, "xid": self.xid,
        }  # fmt: skip
        return "\t".join(["gpu", str(self.index), *(f"{key}={value}" for key, value in values.items())])


def uuid_of(index: int) -> str:
    return f"GPU-{index:08x}-1ab0-4000-8000-{index:012x}"


@dataclass
class Driver:
    """Writes the state file. `watch` makes it list the host processes that hold a GPU's device node open."""

    folder: Path
    gpus: list[StandInGpu] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    strangers: list[tuple[str, int, int]] = field(default_factory=list)
    system: str = "system\tdriver=580.95.05\tcuda=13000"
    _watcher: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> Path:
        return self.folder / "nvml.state"

    def write(self) -> None:
        lines = [self.system, *(gpu.line() for gpu in self.gpus), *self.extra]
        lines += [f"proc\t{gpu}\t{pid}\t{mib}" for gpu, pid, mib in self.strangers]
        replace_text(self.state, "\n".join(lines) + "\n")

    def watch(self) -> None:
        """List what containers claim, by a process that stays root whatever the tests become."""
        claims = f"{self.state}.claims"
        self._watcher = subprocess.Popen([sys.executable, "-I", str(HERE / "claims.py"), claims])

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.kill()
            self._watcher.wait()

    def change(self, index: int, **values: object) -> None:
        self.gpus = [replace(gpu, **values) if gpu.index == index else gpu for gpu in self.gpus]  # type: ignore[arg-type]
        self.write()

    def claims_of(self, pids: set[int]) -> set[str]:
        return {gpu for gpu, pid, _ in find_claims(self.folder, instances_of(self.state)) if pid in pids}


def wait_for(what: str, condition: "object", limit_s: float = 15.0) -> None:
    until = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.05)
