"""GPUs that share the machine's memory and report none of their own (GB10, Thor, Orin)."""

import re
from dataclasses import dataclass
from pathlib import Path

_SHARING = re.compile(r"\b(GB10|Thor|Orin)\b")
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """The machine's memory in MiB: the total, and what is still available (`MemAvailable`, proc(5))."""

    total_mib: int
    available_mib: int


def shares_memory(name: str) -> bool:
    """Whether a GPU that does not report memory is one of these; NVML returns NOT_SUPPORTED for them."""
    return _SHARING.search(name) is not None


def machine_memory() -> MachineMemory | None:
    """The memory according to Linux; None if it cannot be read."""
    try:
        lines = dict(line.split(":", 1) for line in _MEMINFO.read_text().splitlines() if ":" in line)
        total, available = (int(lines[key].split()[0]) // 1024 for key in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError, IndexError):
        return None
    return MachineMemory(total, available)
