"""The stand-in driver: the library, its state, and who holds memory."""

import re
import subprocess
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

_NODE = re.compile(r"^/dev/nvidia(\d+)$")

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
    command = ["gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-I", str(nvml_header())]
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

    def line(self) -> str:
        values = {
            "uuid": self.uuid, "name": self.name, "bus": f"00000000:{0x1B + 0x11 * self.index:02X}:00.0",
            "minor": self.index if self.minor is None else self.minor, "cc": self.cc, "total": self.total,
            "reserved": self.reserved, "base": self.base, "util": self.util, "temp": self.temp, "power": self.power,
            "limit": self.limit, "clock": self.clock, "mig": self.mig,
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
    _stop: threading.Event = field(default_factory=threading.Event)
    _claims: list[tuple[str, int, int]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _written: str = ""

    @property
    def state(self) -> Path:
        return self.folder / "nvml.state"

    def write(self) -> None:
        with self._lock:
            lines = [self.system, *(gpu.line() for gpu in self.gpus), *self.extra]
            lines += [f"proc\t{gpu}\t{pid}\t{mib}" for gpu, pid, mib in (*self.strangers, *self._claims)]
            text = "\n".join(lines) + "\n"
            if text == self._written and self.state.exists():
                return
            temporary = self.state.with_suffix(".new")
            temporary.write_text(text)
            temporary.chmod(0o644)
            temporary.replace(self.state)
            self._written = text

    def change(self, index: int, **values: object) -> None:
        self.gpus = [replace(gpu, **values) if gpu.index == index else gpu for gpu in self.gpus]  # type: ignore[arg-type]
        self.write()

    def watch(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            claims = find_claims()
            if claims != self._claims:
                self._claims = claims
                self.write()
            self._stop.wait(0.1)

    def close(self) -> None:
        self._stop.set()

    def claims_of(self, pids: set[int]) -> set[str]:
        return {gpu for gpu, pid, _ in find_claims() if pid in pids}


def find_claims() -> list[tuple[str, int, int]]:
    """(GPU, host pid, MiB) of every process that holds /dev/nvidiaN open; how much it says in $CLAIM_MIB."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            nodes = {match[1] for link in (entry / "fd").iterdir() if (match := _NODE.match(str(link.readlink())))}
            if not nodes:
                continue
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        claim = next((int(line.partition(b"=")[2]) for line in variables if line.startswith(b"CLAIM_MIB=")), 256)
        found |= {(node, int(entry.name), claim) for node in nodes}
    return sorted(found)


def wait_for(what: str, condition: "object", limit_s: float = 15.0) -> None:
    until = time.monotonic() + limit_s
    while not condition():  # type: ignore[operator]
        if time.monotonic() > until:
            raise TimeoutError(what)
        time.sleep(0.05)
