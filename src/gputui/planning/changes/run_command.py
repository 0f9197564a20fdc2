"""A container's spec in readable form: the `docker run` command that creates it, and its body as JSON."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gputui.domain.container import LABEL_APPLY, ContainerSpec
from gputui.domain.text import MASK, clean, mask_secret, mask_words

_PLAIN = re.compile(r"^[\w@%+=:,./-]+$")

# Options of `docker run` (see its reference) by the HostConfig field they set, if the value is written as is.
_OPTIONS = {
    "Runtime": "--runtime", "IpcMode": "--ipc", "PidMode": "--pid", "UTSMode": "--uts", "UsernsMode": "--userns",
    "CgroupParent": "--cgroup-parent", "CpusetCpus": "--cpuset-cpus", "CpuShares": "--cpu-shares",
    "PidsLimit": "--pids-limit", "OomScoreAdj": "--oom-score-adj",
}  # fmt: skip
_LISTS = {
    "CapAdd": "--cap-add", "CapDrop": "--cap-drop", "SecurityOpt": "--security-opt", "ExtraHosts": "--add-host",
    "Dns": "--dns", "GroupAdd": "--group-add", "VolumesFrom": "--volumes-from", "Links": "--link", "Binds": "--volume",
}  # fmt: skip
_SIZES = {"ShmSize": "--shm-size", "Memory": "--memory", "MemorySwap": "--memory-swap"}
_OF_ONE_APPLY = (LABEL_APPLY,)
"""Labels by which an apply recognises its containers; of no interest to anybody else."""
_DEFAULTS = {"IpcMode": "private", "Runtime": "runc", "ShmSize": 64 * 2**20}


def run_command(spec: ContainerSpec, program: str = "docker") -> str:
    """The command that creates the same container, as far as `docker run` can express it; secrets are masked."""
    host = dict(spec.body.get("HostConfig") or {})
    words: list[str] = [program, "run", "--detach", "--name", clean(spec.name, 200)]
    words += [*_gpus(host), *_config(spec.body), *_host(host), *_networks(spec, host), *_mounts(host)]
    entrypoint = [str(word) for word in spec.body.get("Entrypoint") or []]
    if entrypoint:
        words += ["--entrypoint", clean(entrypoint[0])]
    words.append(clean(str(spec.body.get("Image") or "")))
    command = [*entrypoint[1:], *(str(word) for word in spec.body.get("Cmd") or [])]
    words += list(mask_words(command))
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """Quoted for a shell."""
    return word if _PLAIN.match(word) or word == MASK else "'" + word.replace("'", "'\\''") + "'"


def _gpus(host: Mapping[str, Any]) -> Iterator[str]:
    for request in host.get("DeviceRequests") or []:
        ids = [clean(str(identifier), 100) for identifier in request.get("DeviceIDs") or []]
        if request.get("Driver") == "cdi":
            for name in ids:
                yield from ("--device", name)
            continue
        selection = f'"device={",".join(ids)}"' if len(ids) > 1 else f"device={ids[0]}" if ids else "all"
        yield from ("--gpus", selection if request.get("Count") != -1 else "all")
    for device in host.get("Devices") or []:
        yield from ("--device", clean(str(device.get("PathOnHost")), 200))


def _config(body: Mapping[str, Any]) -> Iterator[str]:
    for line in body.get("Env") or []:
        name, _, value = str(line).partition("=")
        yield from ("--env", f"{clean(name, 100)}={mask_secret(name, value)}")
    for name, value in (body.get("Labels") or {}).items():
        if str(name) in _OF_ONE_APPLY:
            continue
        yield from ("--label", f"{clean(str(name), 200)}={mask_secret(str(name), str(value))}")
    for field, option in (("User", "--user"), ("WorkingDir", "--workdir"), ("Hostname", "--hostname"),
                          ("StopSignal", "--stop-signal")):  # fmt: skip
        if body.get(field):
            yield from (option, clean(str(body[field]), 300))
    if body.get("StopTimeout") is not None:
        yield from ("--stop-timeout", str(body["StopTimeout"]))
    if body.get("Tty"):
        yield "--tty"
    yield from _healthcheck(body.get("Healthcheck") or {})


def _healthcheck(check: Mapping[str, Any]) -> Iterator[str]:
    test = [str(word) for word in check.get("Test") or []]
    if not test:
        return
    if test[0] == "NONE":
        yield "--no-healthcheck"
        return
    yield from ("--health-cmd", " ".join(mask_words(test[1:])))
    for field, option in (("Interval", "--health-interval"), ("Timeout", "--health-timeout"),
                          ("StartPeriod", "--health-start-period"),
                          ("StartInterval", "--health-start-interval")):  # fmt: skip
        if check.get(field):
            yield from (option, f"{check[field] / 1e9:g}s")
    if check.get("Retries"):
        yield from ("--health-retries", str(check["Retries"]))


def _host(host: Mapping[str, Any]) -> Iterator[str]:
    policy = host.get("RestartPolicy") or {}
    if policy.get("Name") not in (None, "", "no"):
        count = policy.get("MaximumRetryCount")
        yield from ("--restart", f"{clean(str(policy['Name']), 30)}" + (f":{count}" if count else ""))
    for field, option in _OPTIONS.items():
        value = host.get(field)
        if value not in (None, "", 0) and value != _DEFAULTS.get(field):
            yield from (option, clean(str(value), 300))
    for field, option in _SIZES.items():
        value = host.get(field)
        if isinstance(value, int) and value > 0 and value != _DEFAULTS.get(field):
            yield from (option, f"{value // 2**20}m" if value % 2**20 == 0 else f"{value}b")
    for field, option in _LISTS.items():
        for value in host.get(field) or []:
            yield from (option, clean(str(value), 1000))
    for limit in host.get("Ulimits") or []:
        yield from ("--ulimit", f"{clean(str(limit.get('Name')), 30)}={limit.get('Soft')}:{limit.get('Hard')}")
    yield from _switches(host)
    driver = (host.get("LogConfig") or {}).get("Type")
    if driver not in (None, "", "json-file"):
        yield from ("--log-driver", clean(str(driver), 60))
    for port, bindings in (host.get("PortBindings") or {}).items():
        for binding in bindings or [{}]:
            address = f"{binding['HostIp']}:" if (binding or {}).get("HostIp") else ""
            yield from ("--publish", clean(f"{address}{(binding or {}).get('HostPort') or ''}:{port}", 120))


def _switches(host: Mapping[str, Any]) -> Iterator[str]:
    for flag, option in (("Privileged", "--privileged"), ("Init", "--init"), ("ReadonlyRootfs", "--read-only"),
                         ("OomKillDisable", "--oom-kill-disable")):  # fmt: skip
        if host.get(flag):
            yield option
    if host.get("NanoCpus"):
        yield from ("--cpus", f"{host['NanoCpus'] / 1e9:g}")


def _networks(spec: ContainerSpec, host: Mapping[str, Any]) -> Iterator[str]:
    first = (spec.body.get("NetworkingConfig") or {}).get("EndpointsConfig") or {}
    mode = host.get("NetworkMode")
    if mode not in (None, "", "default", "bridge") and mode not in first:
        yield from ("--network", clean(str(mode), 200))
    for name, endpoint in {**first, **spec.networks}.items():
        yield from ("--network", clean(str(name), 200))
        for alias in (endpoint or {}).get("Aliases") or []:
            yield from ("--network-alias", clean(str(alias), 200))


def _mounts(host: Mapping[str, Any]) -> Iterator[str]:
    for mount in host.get("Mounts") or []:
        parts = [f"type={mount.get('Type')}"]
        parts += [f"source={mount['Source']}"] if mount.get("Source") else []
        parts += [f"target={mount.get('Target')}", *(["readonly"] if mount.get("ReadOnly") else [])]
        yield from ("--mount", clean(",".join(parts), 1000))
    for target, options in (host.get("Tmpfs") or {}).items():
        yield from ("--tmpfs", clean(f"{target}:{options}" if options else str(target), 300))


def shown_body(spec: ContainerSpec) -> str:
    """The body of the engine's create call, as JSON with secrets masked."""
    body = {"Name": spec.name, **_masked(spec.body), "Networks": _masked(spec.networks)}
    return json.dumps(body, indent=2, ensure_ascii=False, default=str)


def _masked(value: Any, name: str = "") -> Any:
    if isinstance(value, Mapping):
        return {clean(str(key), 200): _masked(entry, str(key)) for key, entry in value.items()}
    if name in ("Cmd", "Entrypoint", "Test") and isinstance(value, Sequence) and not isinstance(value, str):
        return list(mask_words([str(word) for word in value]))
    if name == "Env" and isinstance(value, Sequence):
        pairs = (str(line).partition("=") for line in value)
        return [f"{clean(key, 200)}={mask_secret(key, text)}" for key, _, text in pairs]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_masked(entry) for entry in value]
    return mask_secret(name, value) if isinstance(value, str) else value
