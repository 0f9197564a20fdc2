"""The launch settings of a container that planning needs, read from the body of the engine's create call."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gputui.domain.text import SECRET, clean, mapping, mask_command, mask_script, sequence, whole_number

_SETTINGS = re.compile(
    r"^(LLAMA_ARG_\w+|OLLAMA_\w+|VLLM_\w+|SGLANG_\w+|SGL_\w+|TLLM_\w+|HF_HOME|HF_HUB_CACHE|HUGGINGFACE_HUB_CACHE|TRANSFORMERS_CACHE"
    r"|MODEL|MODEL_ID|MODEL_NAME|MODEL_PATH|MODELS?_DIR|NUM_SHARD|SHARDED|QUANTIZE|QUANTIZATION|DTYPE|PORT|CUDA_MEMORY_FRACTION"
    r"|MAX_\w+|TENSOR_PARALLEL(_SIZE)?|PIPELINE_PARALLEL(_SIZE)?|DATA_PARALLEL(_SIZE)?|TP(_SIZE)?|PP(_SIZE)?"
    r"|GPU_MEMORY_UTIL(IZATION)?|VRAM_BUDGET_GB|KV_CACHE_DTYPE|WORLD_SIZE|NPROC_PER_NODE)$"
)
"""Variables of serving programs that planning needs; a snapshot contains no others."""

_SHELLS = ("sh", "bash", "dash", "ash", "zsh")

WORDS = 2000
"""Maximum words of a command line, each at most `WORD_LENGTH` characters long."""
WORD_LENGTH = 4000
SCRIPT_LENGTH = 32_000
"""Maximum length of a shell script in a command line; a longer one is truncated and marked as such."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mount in the container. `source` is a path on the host, or the name of a volume."""

    source: str
    target: str
    is_volume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """The settings that determine a service's memory use and its behaviour during startup.

    `words` are entrypoint and command, with secrets masked; `settings` are the variables named above.
    `other_variables` is a digest of the remaining variables, which distinguishes services of the same image.
    `start_period_s` is None if the container defines no healthcheck; `health_allows_s` is how long it may fail its
    checks before it counts as unhealthy. `ports` are those published on the host.
    """

    words: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    other_variables: str = ""
    mounts: tuple[Mount, ...] = ()
    working_directory: str = ""
    shm_mib: int | None = None
    shares_ipc: bool = False
    start_period_s: float | None = None
    health_allows_s: float | None = None
    ports: tuple[tuple[str, int, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The settings by name."""
        return dict(self.settings)


DEFAULT_SHM_MIB = 64
"""Docker's default size of /dev/shm (`--shm-size`, docker run reference)."""


def launch_of(config: Mapping[str, Any], host: Mapping[str, Any], mounts: tuple[Mount, ...] | None = None) -> Launch:
    """The launch that `Config` and `HostConfig` describe; `mounts` as the engine lists them, if the container already
    exists."""
    words = [str(word) for key in ("Entrypoint", "Cmd") for word in _words(config.get(key))]
    pairs = variables_in(config.get("Env"))
    settings = {clean(name, 80): clean(value, 1000) for name, value in pairs.items() if _SETTINGS.match(name)}
    allowed = {name: value for name, value in settings.items() if not SECRET.search(name)}
    shm = whole_number(host.get("ShmSize"), least=1)
    ipc = str(host.get("IpcMode") or "")
    start, allows = _health(config.get("Healthcheck"))
    return Launch(
        words=_masked_words(words[:WORDS]),
        settings=tuple(sorted(allowed.items())),
        other_variables=_mark_of_others(pairs),
        mounts=_mounts(host) if mounts is None else mounts,
        working_directory=clean(str(config.get("WorkingDir") or ""), 300),
        shm_mib=shm // 2**20 if shm else DEFAULT_SHM_MIB,
        shares_ipc=ipc == "host" or ipc.startswith("container:"),
        start_period_s=start,
        health_allows_s=allows,
        ports=_ports(host),
    )


_OF_THE_IMAGE = re.compile(
    r"^(\w*PATH|HOME|HOSTNAME|USER|PWD|SHLVL|TERM|TZ|LANG|LC_\w+|CUDA_\w+|NV_\w+|NVIDIA_\w+|NCCL_\w+|PYTHON\w*|PIP_\w+"
    r"|UV_\w+|DEBIAN_\w+|VIRTUAL_ENV|GPG_KEY|VLLM_USAGE_SOURCE)$"
)
"""Variables that images set, or that do not affect what a program loads."""


def _mark_of_others(pairs: Mapping[str, str]) -> str:
    """A digest of the variables unknown to planning, except secrets and those of the image or its GPUs."""
    lines = [
        f"{name}={value}"
        for name, value in sorted(pairs.items())
        if not _SETTINGS.match(name) and not _OF_THE_IMAGE.match(name) and not SECRET.search(name)
    ]
    if not lines:
        return ""
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, which would delay the first frame

    return hashlib.sha256("\x00".join(lines).encode(errors="surrogatepass")).hexdigest()[:16]


def variables_in(lines: object) -> dict[str, str]:
    """The variables in a list of `NAME=value` lines; the last one of a name wins."""
    return dict(str(line).partition("=")[::2] for line in sequence(lines))


def _words(value: object) -> Sequence[Any]:
    """A command from inspect data; Podman and old engines may report a single string."""
    return (value,) if isinstance(value, str) else sequence(value)


def _masked_words(words: list[str]) -> tuple[str, ...]:
    """The words with secrets masked; a shell script keeps its line breaks."""
    place = script_place(words)
    if place is None:
        return mask_command([word[:WORD_LENGTH] for word in words])
    script = words[place]
    suffix = "\n$(cut off)" if len(script) > SCRIPT_LENGTH else ""
    head, tail = words[:place], words[place + 1 :]
    return (*mask_command(head), mask_script(script[:SCRIPT_LENGTH]) + suffix, *mask_command(tail))


def script_place(words: Sequence[str]) -> int | None:
    """The index of the shell script in a command line (`sh -c …`); None if there is none."""
    shell = next((index for index, word in enumerate(words) if word.rsplit("/", 1)[-1] in _SHELLS), None)
    if shell is None or shell > 2:
        return None
    option = next((index for index in range(shell + 1, len(words)) if re.fullmatch(r"-\w*c", words[index])), None)
    return option + 1 if option is not None and option + 1 < len(words) else None


def _health(check: Any) -> tuple[float | None, float | None]:
    """The start period, and how long failures are tolerated after it (retries × interval; default 3 × 30 s)."""
    if not isinstance(check, Mapping):
        return None, None
    test = sequence(check.get("Test"))
    if not test or test[0] == "NONE":
        return None, None
    interval, start, retries = (whole_number(check.get(key), least=0) for key in ("Interval", "StartPeriod", "Retries"))
    return (start or 0) / 1e9, (retries or 3) * ((interval or 0) / 1e9 or 30.0)


def _mounts(host: Mapping[str, Any]) -> tuple[Mount, ...]:
    mounts = []
    for bind in sequence(host.get("Binds")):
        source, colon, remainder = str(bind).partition(":")
        if colon:
            target = remainder.partition(":")[0]
            mounts.append(_mount(source, target, is_volume=not source.startswith("/")))
    mounts += [
        _mount(str(mount["Source"]), str(mount["Target"]), is_volume=mount["Type"] == "volume")
        for mount in map(mapping, sequence(host.get("Mounts")))
        if mount.get("Type") in ("bind", "volume") and mount.get("Source") and mount.get("Target")
    ]
    return tuple(mounts)


def _mount(source: str, target: str, *, is_volume: bool) -> Mount:
    return Mount(source=clean(source, 1000), target=clean(target, 1000).rstrip("/") or "/", is_volume=is_volume)


def mounts_listed(data: Mapping[str, Any]) -> tuple[Mount, ...]:
    """The mounts of a container as inspect lists them, also for volumes with their directory on the host."""
    return tuple(
        _mount(str(mount["Source"]), str(mount["Destination"]), is_volume=False)
        for mount in map(mapping, sequence(data.get("Mounts")))
        if mount.get("Source") and mount.get("Destination")
    )


def _ports(host: Mapping[str, Any]) -> tuple[tuple[str, int, str], ...]:
    ports = []
    for name, bindings in mapping(host.get("PortBindings")).items():
        protocol = str(name).partition("/")[2] or "tcp"
        for binding in sequence(bindings):
            port = whole_number(mapping(binding).get("HostPort"), least=1, most=65535)
            if port is not None:
                ports.append((clean(str(mapping(binding).get("HostIp") or ""), 60), port, clean(protocol, 10)))
    return tuple(ports)
