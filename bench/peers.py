"""The programs that gputui is set beside, at one reading a second, and the text by which the first of it is seen."""

import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from bench.pty_run import ARROWS, LETTERS
from tests.lab.engine_trees import tree

SEES_GPUS = b"H100"
SEES_SERVICES = b"bench-s0-1"


@dataclass(frozen=True, slots=True)
class Program:
    """One to be measured. `keys` move in its list, down and up, and are typed to see how soon something is drawn. By
    `whole_text` its whole screen is known, where it draws something before."""

    command: tuple[str, ...]
    first_text: bytes
    keys: tuple[bytes, bytes] | None = None
    whole_text: bytes | None = None


def peers(driver: Path) -> dict[str, Program]:
    """By name; the first is what the others are set beside. `driver`: where the NVML library is."""
    environment = Path(sys.executable).parent
    # They have requirements of their own.
    apart = environment.parent / "peers" / "bin"
    return {
        "nvitop": Program((str(environment / "nvitop"), "--monitor", "full", "--interval", "1"), SEES_GPUS),
        "nvtop": Program((*_nvtop(driver), "-d", "10"), SEES_GPUS),
        "gpustat": Program((str(environment / "gpustat"), "-i", "1"), SEES_GPUS),
        "lazydocker": Program((str(apart / "lazydocker"),), SEES_SERVICES, LETTERS),
        "dtop (Textual)": Program((str(apart / "dtop"),), SEES_SERVICES, ARROWS),
    }


def _nvtop(driver: Path) -> tuple[str, ...]:
    """Of a newer Debian, with the libraries of that."""
    root = tree("trixie")
    libraries = root / "usr/lib" / str(sysconfig.get_config_var("MULTIARCH"))
    loader = next(libraries.glob("ld-linux-*.so.*"))
    return (str(loader), "--library-path", f"{driver}:{libraries}", str(root / "usr/bin/nvtop"))
