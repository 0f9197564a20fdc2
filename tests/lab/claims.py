"""What containers claim of GPU memory: the host processes that hold a GPU's device node open. A program of its own."""

import re
import sys
import time
from pathlib import Path

_NODE = re.compile(r"^/dev/nvidia(\d+)$")
_CAPABILITY = re.compile(r"^/dev/nvidia-caps/nvidia-cap(\d+)$")
_LAB = re.compile(rb"(/[^\0]*/gputui-lab-[^/\0]+)/")
_INSTANCE = re.compile(r"^mig\t(\d+)\t(\d+)\t.*\bcap=(\d+)", re.M)


def find_claims(lab: Path, instances: dict[str, str] | None = None) -> list[tuple[str, int, int]]:
    """(GPU, host pid, MiB) of every process that holds /dev/nvidiaN open and is in no container of another lab than
    this folder's; how much it says in $CLAIM_MIB. One that holds the capability of a MIG instance is on that, and not
    on its parent; `instances` are those by capability."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            links = [str(link.readlink()) for link in (entry / "fd").iterdir()]
            nodes = {match[1] for link in links if (match := _NODE.match(link))}
            held = {match[1] for link in links if (match := _CAPABILITY.match(link))}
            labels = {(instances or {}).get(cap, f"cap{cap}") for cap in held}
            nodes = nodes - {label.partition(":")[0] for label in labels} | labels
            if not nodes or _lab_of(entry) not in (None, str(lab)):
                continue
            variables = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        claim = next((int(line.partition(b"=")[2]) for line in variables if line.startswith(b"CLAIM_MIB=")), 256)
        found |= {(node, int(entry.name), claim) for node in nodes}
    return sorted(found)


def _lab_of(process: Path) -> str | None:
    """The folder of the lab in whose container a process is: it stands in the command line of what started that."""
    while process.name not in ("0", "1"):
        found = _LAB.search((process / "cmdline").read_bytes())
        if found:
            return found[1].decode()
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        process = process.with_name(parent)
    return None


def instances_of(state: Path) -> dict[str, str]:
    """The MIG instances of the driver's state (`4:0`) by their capability."""
    try:
        return {cap: f"{parent}:{index}" for parent, index, cap in _INSTANCE.findall(state.read_text())}
    except OSError:
        return {}


def replace_text(path: Path, text: str) -> None:
    """Write a file in one step, readable for everybody."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.replace(path)


def main() -> None:
    path = Path(sys.argv[1])
    before = None
    while path.parent.exists():
        claims = find_claims(path.parent, instances_of(path.with_suffix("")))
        if claims != before:
            before = claims
            replace_text(path, "".join(f"proc\t{gpu}\t{pid}\t{mib}\n" for gpu, pid, mib in claims))
        time.sleep(0.1)


if __name__ == "__main__":
    main()
