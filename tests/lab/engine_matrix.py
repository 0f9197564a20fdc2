"""The engine matrix: every engine × every mechanism × every kind of choice, judged from inside the container.

`python -m tests.lab.engine_matrix` runs all of it and prints the table.
"""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.conftest import installation
from tests.lab.claims import find_claims, instances_of
from tests.lab.conftest import Lab, await_applies, give_folders
from tests.lab.driver import Driver, StandInGpu, build_library, uuid_of, wait_for
from tests.lab.engine import LabEngine, as_user
from tests.lab.engine_trees import TreeEngine, Variant, device_script, write_runtime
from tests.lab.hook import devices

GPUS = 6
CUT = 4
"""The GPU that is cut into two MIG instances."""

OLDEST = Variant("Docker 20.10", "bookworm")
VARIANTS = (
    OLDEST,
    Variant("Docker 26, CDI off", "trixie", cdi=False),
    Variant("Docker 26, CDI on", "trixie", cdi=True),
    Variant("Docker 26, no toolkit", "trixie", cdi=False, driver=False, runtime=False),
    Variant("Docker 28", "sid"),
    Variant("Podman 4.3", "bookworm", program="podman"),
    Variant("Podman 5.4", "trixie", program="podman"),
    Variant("Podman 5.8", "sid", program="podman"),
)

NO_CDI = "this engine does not use CDI"
NO_DRIVER = "this engine has no device driver for NVIDIA GPUs"
NO_RUNTIME = "this engine has no runtime called nvidia"
TOO_OLD = "this engine starts containers without the GPUs that they ask for; it takes Podman 5.4"

REFUSALS: dict[str, dict[str, str]] = {
    "Docker 20.10": {"cdi": NO_CDI},
    "Docker 26, CDI off": {"cdi": NO_CDI},
    "Docker 26, CDI on": {},
    "Docker 26, no toolkit": {"nvidia": NO_DRIVER, "cdi": NO_CDI, "runtime": NO_RUNTIME},
    "Docker 28": {},
    "Podman 4.3": {"nvidia": TOO_OLD, "cdi": TOO_OLD, "runtime": TOO_OLD},
    "Podman 5.4": {"nvidia": NO_DRIVER, "runtime": NO_RUNTIME},
    "Podman 5.8": {"nvidia": NO_DRIVER, "runtime": NO_RUNTIME},
}
MECHANISMS = ("nvidia", "cdi", "runtime")
WHOLE = [index for index in range(GPUS) if index != CUT]


@dataclass(frozen=True)
class Cell:
    """A kind of choice: what is typed, and what the process inside is to find."""

    name: str
    typed: str
    labels: tuple[str, ...]
    order: str | None
    privileged: bool = False


CELLS = (
    Cell("one", "1", ("1",), "0"),
    Cell("three", "5,0,2", ("5", "0", "2"), "2,0,1"),
    Cell("mig", f"{CUT}:1", (f"{CUT}:1",), "0"),
    Cell("all", "all", tuple(str(one) for one in WHOLE), "0,1,2,3,4"),
    Cell("none", "none", (), None),
    # Beside GPUs that are cut into instances only UUIDs are the same for everybody who counts.
    Cell("hidden", "none", (), "", privileged=True),
    Cell("privileged", "5,2", ("5", "2"), f"{uuid_of(5)},{uuid_of(2)}", privileged=True),
)


@dataclass
class EngineLab(Lab):
    """A lab whose engine may be any; gputui finds the CDI specifications of that engine's host in /etc/cdi."""

    variant: Variant = OLDEST
    image: str = "workload:1"

    def command(self, *arguments: str) -> list[str]:
        etc = self.folder / "etc"
        script = f'mount --make-rprivate / && mount -t overlay overlay -o lowerdir={etc}:/etc /etc && exec "$@"'
        return ["unshare", "-m", "sh", "-c", script, "sh", *as_user([str(self.bin / "gputui"), *arguments])]

    def nodes(self, ref: str) -> set[str]:
        """The device nodes inside, as the kernel has them."""
        root = Path(f"/proc/{self.inspect(ref)['State']['Pid']}/root/dev")
        return {str(path.relative_to(root)) for path in root.rglob("nvidia*") if not path.is_dir()}

    def gpus_of(self, ref: str) -> set[str]:
        """The GPUs on which NVML lists its processes, by their cgroups: each engine has another `top`."""
        identity = str(self.inspect(ref)["Id"])
        claims = find_claims(self.folder, instances_of(self.driver.state))
        return {gpu for gpu, pid, _ in claims if identity in _cgroup(pid)}

    def uuids(self, labels: Sequence[str]) -> list[str]:
        by_label = {one["label"]: one["uuid"] for one in devices(self.driver.state)}
        return [by_label[label] for label in labels]


def _cgroup(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:  # it has ended since it was found
        return ""


@contextmanager
def opened(variant: Variant, installed: Path) -> Iterator[EngineLab]:
    """A lab with this engine."""
    folder = Path(tempfile.mkdtemp(prefix="gputui-lab-", dir="/tmp"))
    folder.chmod(0o755)
    driver = Driver(folder)
    driver.gpus = [StandInGpu(index, uuid_of(index), mig=int(index == CUT)) for index in range(GPUS)]
    driver.extra = [
        f"mig\t{CUT}\t{place}\tuuid=MIG-{place}1ab0000-0000-4000-8000-000000000000\tname=MIG 3g.40gb"
        f"\tgi={place + 1}\tci=0\tcap={21 + place}\ttotal=40192\treserved=40\tbase=4"
        for place in range(2)
    ]
    driver.write()
    (folder / "etc/cdi").mkdir(parents=True, exist_ok=True)
    engine = _oldest(folder, driver) if variant == OLDEST else TreeEngine(folder, variant, driver.state)
    try:
        build_library(folder)
        engine.unpack()
        engine.start()
        podman = variant.program == "podman"
        engine.make_image("workload:latest" if podman else "workload:1", variables=("NVIDIA_VISIBLE_DEVICES=all",))
        driver.watch()
        lab = EngineLab(folder, engine, driver, installed, variant=variant)
        lab.image = "workload:latest" if podman else "workload:1"
        yield lab
    finally:
        await_applies(folder)
        driver.close()
        engine.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _oldest(folder: Path, driver: Driver) -> LabEngine:
    write_runtime(folder, f'#!/bin/sh\nexec /usr/bin/python3 -I -S {folder}/hook.py "$@"\n')
    options = ("--add-runtime", f"nvidia={folder}/runtime/nvidia-container-runtime")
    return LabEngine(folder, before=device_script("", driver.state) + "\n", options=options)


def fresh(lab: EngineLab) -> None:
    """No containers, no state, no files of the run before."""
    await_applies(lab.folder)
    lab.engine.remove_all()
    give_folders(lab, "ai")


def write_project(lab: EngineLab, cells: Sequence[Cell], gpus: list[int]) -> None:
    services: dict[str, Any] = {}
    for cell in cells:
        services[cell.name] = {
            "image": lab.image, "environment": {"CLAIM_MIB": "64"}, "x-gputui": {"gpus": gpus},
            "stop_grace_period": "1s",
        }  # fmt: skip
        if cell.privileged:
            sees_all = {"privileged": True} if can_be_privileged(lab.variant) else {"volumes": ["/dev:/dev"]}
            services[cell.name] |= sees_all
    (lab.home / "compose.yaml").write_text(json.dumps({"name": "ai", "services": services}))


def can_be_privileged(variant: Variant) -> bool:
    """The runc of Docker 20.10 asks for every capability, and fails where this machine lacks one; /dev mounted is the
    other way to see all devices."""
    bounding = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapBnd"))
    missing = ~int(bounding.split()[1], 16) & ((1 << 38) - 1)
    return variant != OLDEST or not missing


@dataclass
class Row:
    """What came of one mechanism on one engine: by cell, its faults, or the refusal of all."""

    engine: str
    mechanism: str
    faults: dict[str, list[str]] = field(default_factory=dict)
    refusal: str | None = None
    wrong: str | None = None

    @property
    def good(self) -> bool:
        return self.wrong is None and not any(self.faults.values())


def run_row(lab: EngineLab, mechanism: str) -> Row:
    """Every cell by this mechanism, created and then moved; or the refusal, with nothing stopped."""
    row = Row(lab.variant.name, mechanism)
    refusal = REFUSALS[lab.variant.name].get(mechanism)
    fresh(lab)
    if refusal is not None:
        row.refusal, row.wrong = _refused(lab, mechanism, refusal)
        return row
    option = ("--mechanism", mechanism)
    write_project(lab, CELLS, [3])
    made = lab.gputui(*option, "apply", "--yes", "--settle", "0.5")
    if made.returncode:
        row.wrong = f"create: {made.stdout[-400:]} {made.stderr[-400:]}"
        return row
    for cell in CELLS:
        row.faults[cell.name] = []
        done = lab.gputui(*option, "assign", cell.name, "--gpus", cell.typed, "--yes")
        if done.returncode:
            row.faults[cell.name].append(f"assign: {done.stderr}")
    moved = lab.gputui(*option, "apply", "--yes", "--settle", "0.5")
    if moved.returncode:
        row.wrong = f"apply: {moved.stdout[-600:]} {moved.stderr[-400:]}"
        return row
    for cell in CELLS:
        row.faults[cell.name] += _faults(lab, cell.name, mechanism, cell.labels, cell.order, cell.privileged)
    told = _told(lab, option)
    for _ in range(5):  # the stand-in driver looks for processes now and then
        if not any(told.values()):
            break
        time.sleep(1)
        told = _told(lab, option)
    for name, faults in told.items():
        row.faults[name] += faults
    return row


def _container(lab: EngineLab, name: str) -> str:
    return f"ai-{name}-1"


def _faults(
    lab: EngineLab, name: str, mechanism: str, labels: tuple[str, ...], order: str | None, privileged: bool
) -> list[str]:
    """What is not as it should be inside: nodes, environment, and the processes that NVML lists."""
    ref = _container(lab, name)
    by_label = {one["label"]: one["nodes"].split() for one in devices(lab.driver.state)}
    every = {node for nodes in by_label.values() for node in nodes}
    wanted = every if privileged else {node for label in labels for node in by_label[label]}
    faults = []
    if (nodes := lab.nodes(ref)) != wanted:
        faults.append(f"nodes {sorted(nodes)} instead of {sorted(wanted)}")
    seen = lab.process_environment(ref)
    uuids = lab.uuids(labels)
    visible = "void" if mechanism == "cdi" or not labels else ",".join(uuids)
    if sorted((seen.get("NVIDIA_VISIBLE_DEVICES") or "").split(",")) != sorted(visible.split(",")):
        faults.append(f"NVIDIA_VISIBLE_DEVICES={seen.get('NVIDIA_VISIBLE_DEVICES')} instead of {visible}")
    if order is not None and seen.get("CUDA_VISIBLE_DEVICES") != order:
        faults.append(f"CUDA_VISIBLE_DEVICES={seen.get('CUDA_VISIBLE_DEVICES')} instead of {order}")
    if order is None and "CUDA_VISIBLE_DEVICES" in seen:
        faults.append(f"CUDA_VISIBLE_DEVICES={seen['CUDA_VISIBLE_DEVICES']} although it has none")
    if labels and seen.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":
        faults.append("CUDA_DEVICE_ORDER is not set")
    try:
        wait_for("its processes", lambda: lab.gpus_of(ref) == set(labels), 5)
    except TimeoutError:
        faults.append(f"processes on GPUs {sorted(lab.gpus_of(ref))} instead of {sorted(labels)}")
    return faults


def _told(lab: EngineLab, option: tuple[str, ...]) -> dict[str, list[str]]:
    """Where what gputui says is not what is, by cell."""
    services = {one["name"]: one for one in lab.json(*option, "services")["services"]}
    faults = {}
    for cell in CELLS:
        uuids = lab.uuids(cell.labels)
        expected: tuple[Any, ...] = (uuids, uuids, sorted(uuids), [])
        one = services.get(cell.name)
        told = one and (one["assigned"], one["requested"], sorted(one["running_on"]), one["drift"])
        faults[cell.name] = [] if told == expected else [f"gputui tells {told} instead of {expected}"]
    return faults


def _refused(lab: EngineLab, mechanism: str, expected: str) -> tuple[str, str | None]:
    """One clear line, and the container that runs is the same as before."""
    write_project(lab, CELLS[:1], [])
    made = lab.gputui("apply", "--yes", "--settle", "0.5")
    if made.returncode:
        return "", f"create without a GPU: {made.stdout[-300:]} {made.stderr[-300:]}"
    before = lab.names()
    lab.gputui("assign", "one", "--gpus", "1", "--yes")
    done = lab.gputui("--mechanism", mechanism, "apply", "--yes")
    lines = [line for line in done.stderr.splitlines() if expected in line]
    running = lab.inspect(_container(lab, "one"))["State"]["Status"]
    text = lines[0].removeprefix("gputui: ") if lines else ""
    if done.returncode != 2 or len(lines) != 1:
        return text, f"exit {done.returncode}: {done.stdout[-300:]} {done.stderr[-300:]}"
    if lab.names() != before or running != "running":
        return text, f"something was stopped: {before} → {lab.names()}, {running}"
    return text, None


def table(rows: Sequence[Row]) -> str:
    lines = [f"{'engine':24}{'mechanism':11}" + "".join(f"{cell.name:12}" for cell in CELLS)]
    for row in rows:
        if row.wrong is not None:
            said = f"✗ {row.wrong}"
        elif row.refusal is not None:
            said = f"refused: {row.refusal}"
        else:
            said = "".join(f"{'✗' if row.faults.get(cell.name) else '✓':12}" for cell in CELLS)
        lines.append(f"{row.engine:24}{row.mechanism:11}{said}")
        lines += [f"    ✗ {name}: {'; '.join(faults)}" for name, faults in row.faults.items() if faults]
    return "\n".join(lines)


def main() -> int:
    chosen = [one for one in VARIANTS if not sys.argv[1:] or one.name in sys.argv[1:]]
    rows: list[Row] = []
    with installation() as installed:
        for variant in chosen:
            with opened(variant, installed) as lab:
                rows += [run_row(lab, mechanism) for mechanism in MECHANISMS]
            print(table(rows[-3:]), flush=True)
    print(table(rows))
    return int(any(not row.good for row in rows))


if __name__ == "__main__":
    sys.exit(main())
