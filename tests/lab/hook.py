"""A stand-in for nvidia-container-runtime-hook: makes the device nodes that NVIDIA_VISIBLE_DEVICES asks for.

runc calls it with the container's state on standard input. What it may give is in the driver's state file; a file
`hook.fault` beside it makes it lie: `other` injects another GPU than asked for, `none` injects nothing, and both report
success, as a broken toolkit would. A file `hook.refuses.UUID` makes it not know that GPU.
"""

import json
import pathlib
import subprocess
import sys
from typing import Any

try:
    from tests.lab import smi
except ImportError:  # as a hook it stands beside it
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
    import smi  # type: ignore[import-not-found, no-redef]


def devices(state: pathlib.Path) -> list[dict[str, str]]:
    """What the driver has: kind, label, UUID, nodes under /dev. An instance has its parent's and a capability's."""
    found = []
    for line in state.read_text().splitlines():
        kind, *fields = line.split("\t")
        if kind in ("gpu", "mig"):
            places = [field for field in fields if "=" not in field]
            values = dict(field.split("=", 1) for field in fields if "=" in field)
            nodes = f"nvidia{values.get('minor', places[0])}"
            if kind == "mig":
                nodes += f" nvidia-caps/nvidia-cap{values['cap']}"
            found.append({"kind": kind, "label": ":".join(places), "uuid": values["uuid"], "nodes": nodes})
    return found


def resolve(names: str, known: list[dict[str, str]]) -> list[str]:
    if names in ("", "void", "none"):
        return []
    if names == "all":
        return [one["nodes"] for one in known]
    nodes = []
    for name in names.split(","):
        hits = [
            one
            for one in known
            if name == one["label"] or name == one["uuid"] or (name.startswith("GPU-") and one["uuid"].startswith(name))
        ]
        if not hits or (pathlib.Path(__file__).resolve().parent / f"hook.refuses.{hits[0]['uuid']}").exists():
            sys.stderr.write(f"nvidia-container-cli: device error: {name}: unknown device\n")
            sys.exit(1)
        nodes.append(hits[0]["nodes"])
    return nodes


def inside(state: dict[str, Any], script: str, text: str = "") -> None:
    """Run a script in the mount namespace of the container that is being made."""
    command = ["nsenter", "-t", str(state["pid"]), "-m", "--", "sh", "-c", script]
    subprocess.run(command, input=text, text=True, check=True)


def main() -> None:
    folder = pathlib.Path(__file__).resolve().parent
    state = json.load(sys.stdin)
    config = json.loads((pathlib.Path(state["bundle"]) / "config.json").read_text())
    visible = [line.split("=", 1)[1] for line in config["process"]["env"] if line.startswith("NVIDIA_VISIBLE_DEVICES=")]
    fault_of_driver = smi.fault(folder / "nvml.state")
    if fault_of_driver and visible and visible[-1] not in ("", "void", "none"):
        sys.stderr.write(f"nvidia-container-cli: initialization error: nvml error: {fault_of_driver}\n")
        sys.exit(1)
    known = devices(folder / "nvml.state")
    nodes = resolve(visible[-1] if visible else "", known)
    fault = folder / "hook.fault"
    lie = fault.read_text().strip() if fault.exists() else ""
    if lie == "none":
        nodes = []
    elif lie == "other":
        whole = [one["nodes"] for one in known if one["kind"] == "gpu"]
        nodes = [whole[(whole.index(node) + 1) % len(whole)] for node in nodes]
    root = pathlib.Path(config["root"]["path"])
    if not root.is_absolute():
        root = pathlib.Path(state["bundle"]) / root
    for name in dict.fromkeys(" ".join(nodes).split()):
        node = root / "dev" / name
        make = f"[ -e {node} ] || {{ mkdir -p {node.parent} && mknod -m 666 {node} c 1 3; }}"
        inside(state, make)
    if nodes:
        # The real one puts the program itself in; the image has a shell script that shows these.
        inside(state, f"cat > {root}/nvidia-smi.xml", smi.report(folder / "nvml.state"))
        inside(state, f"cat > {root}/nvidia-smi.txt", smi.listing(folder / "nvml.state"))


if __name__ == "__main__":
    main()
