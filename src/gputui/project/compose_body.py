"""A service of a Compose file as the body of a container's create call, without its GPUs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gputui.domain import compose_labels
from gputui.domain.capabilities import CDI_KIND
from gputui.domain.compose import Resource
from gputui.domain.errors import UsageError
from gputui.domain.text import clean
from gputui.project.compose_network import endpoints, ports
from gputui.project.compose_storage import grants, storage, tmpfs
from gputui.project.compose_values import duration_ns, listed, pairs, scalar, size_bytes, texts, words
from gputui.project.compose_yaml import Located
from gputui.project.env_file import read_env_file

# Keys that mean nothing for one container on one host, or that are read elsewhere.
_ELSEWHERE = {
    "image", "container_name", "gpus", "deploy", "pull_policy", "networks", "platform", "profiles", "attach", "build",
    "extends", "scale", "develop",
}  # fmt: skip

_PLAIN = {
    "user": "User",
    "working_dir": "WorkingDir",
    "hostname": "Hostname",
    "domainname": "Domainname",
    "tty": "Tty",
    "stdin_open": "OpenStdin",
    "stop_signal": "StopSignal",
    "mac_address": "MacAddress",
}
_PLAIN_HOST = {
    "privileged": "Privileged",
    "read_only": "ReadonlyRootfs",
    "security_opt": "SecurityOpt",
    "init": "Init",
    "runtime": "Runtime",
    "cpu_shares": "CpuShares",
    "cpu_period": "CpuPeriod",
    "cpu_quota": "CpuQuota",
    "cpuset": "CpusetCpus",
    "pids_limit": "PidsLimit",
    "oom_kill_disable": "OomKillDisable",
    "oom_score_adj": "OomScoreAdj",
    "cgroup_parent": "CgroupParent",
    "cgroup": "CgroupnsMode",
    "userns_mode": "UsernsMode",
    "uts": "UTSMode",
    "isolation": "Isolation",
    "device_cgroup_rules": "DeviceCgroupRules",
}
_SIZES = {
    "shm_size": "ShmSize",
    "mem_limit": "Memory",
    "mem_reservation": "MemoryReservation",
    "memswap_limit": "MemorySwap",
}
_SHAPED = {
    "command", "entrypoint", "environment", "env_file", "labels", "volumes", "ports", "expose", "restart",
    "healthcheck",
    "stop_grace_period", "extra_hosts", "tmpfs", "ulimits", "logging", "depends_on", "network_mode", "ipc", "pid",
    "volumes_from", "secrets", "configs", "devices", "dns", "dns_search", "dns_opt", "sysctls", "annotations", "cpus",
    "group_add", "storage_opt", "cap_add", "cap_drop", "mem_swappiness",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a service's keys are read by. `networks` and `volumes`: key → (engine's name, what makes it). `containers`
    are the names of the services' containers."""

    project: str
    directory: Path
    files: tuple[str, ...]
    networks: Mapping[str, tuple[str, Resource | None]]
    volumes: Mapping[str, tuple[str, Resource | None]]
    secrets: Mapping[str, Any] = field(default_factory=dict)
    configs: Mapping[str, Any] = field(default_factory=dict)
    containers: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str]


def body_of(name: str, entry: Located, context: Context) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """The create body, the further networks, and the keys that are not carried."""
    known = {*_ELSEWHERE, *_PLAIN, *_PLAIN_HOST, *_SIZES, *_SHAPED}
    left = [clean(key, 60) for key in entry if key not in known and not key.startswith("x-")]
    if not entry.get("image"):
        left.append("build" if "build" in entry else "image (missing)")
    if _replicas(entry) > 1:
        left.append("scale" if "scale" in entry else "deploy.replicas")
    host: dict[str, Any] = {}
    body: dict[str, Any] = {"Image": entry.get("image"), "HostConfig": host, "AttachStdout": True, "AttachStderr": True}
    body |= {target: entry[key] for key, target in _PLAIN.items() if entry.get(key) is not None}
    host |= {target: entry[key] for key, target in _PLAIN_HOST.items() if entry.get(key) is not None}
    if entry.get("mem_swappiness") is not None:
        host["MemorySwappiness"] = int(entry["mem_swappiness"])
    body["Cmd"] = words(entry, "command")
    body["Entrypoint"] = words(entry, "entrypoint")
    body["Env"] = _environment(entry, context)
    body["Labels"] = _labels(name, entry, context)
    left += storage(entry, context.volumes, host)
    left += grants(entry, "secrets", context.secrets, host)
    left += grants(entry, "configs", context.configs, host)
    ports(entry, body, host)
    _lifecycle(entry, body, host)
    _limits(entry, host)
    left += _surroundings(entry, host)
    left += _namespaces(entry, context, host)
    networks = _networks(name, entry, context, body, host)
    body = {key: value for key, value in body.items() if value is not None}
    return body, networks, tuple(clean(key, 80) for key in left)


def _replicas(entry: Located) -> int:
    replicas = (entry.get("deploy") or {}).get("replicas", 1)
    return int(entry.get("scale", replicas if isinstance(replicas, int) else 1) or 0)


def _environment(entry: Located, context: Context) -> list[str]:
    found: dict[str, str | None] = {}
    for one in entry.get("env_file") or []:
        path = one.get("path") if isinstance(one, dict) else one
        required = one.get("required", True) if isinstance(one, dict) else True
        found |= read_env_file(Path(str(path)), context.variables, required=required, where=entry.where("env_file"))
    for name, text in pairs(entry, "environment").items():
        found[name] = context.variables.get(name) if text is None else text
    # A name alone takes the variable away that the image has.
    return [name if value is None else f"{name}={value}" for name, value in found.items()]


def _labels(name: str, entry: Located, context: Context) -> dict[str, str]:
    return {
        **{key: value or "" for key, value in pairs(entry, "labels").items()},
        compose_labels.PROJECT: context.project,
        compose_labels.SERVICE: name,
        compose_labels.NUMBER: "1",
        compose_labels.ONE_OFF: "False",
        compose_labels.DEPENDS_ON: ",".join(
            f"{other}:{condition}:{'true' if restart else 'false'}"
            for other, (condition, restart) in dependencies(entry).items()
        ),
        compose_labels.WORKING_DIR: str(context.directory),
        compose_labels.CONFIG_FILES: ",".join(context.files),
    }


def dependencies(entry: Located) -> dict[str, tuple[str, bool]]:
    """The services that have to run first: on which condition, and whether it is restarted with them."""
    found: dict[str, tuple[str, bool]] = {}
    given = entry.get("depends_on") or {}
    for name in given:
        settings = (given[name] if isinstance(given, dict) else None) or {}
        found[str(name)] = (str(settings.get("condition") or "service_started"), bool(settings.get("restart")))
    for one in entry.get("volumes_from") or []:
        if not str(one).startswith("container:"):
            found.setdefault(str(one).partition(":")[0], ("service_started", False))
    for key in ("network_mode", "ipc", "pid"):
        kind, _, other = str(entry.get(key) or "").partition(":")
        if kind == "service":
            found.setdefault(other, ("service_started", True))
    return found


def _lifecycle(entry: Located, body: dict[str, Any], host: dict[str, Any]) -> None:
    """How it is started again, stopped, and seen to be healthy."""
    policy = (entry.get("deploy") or {}).get("restart_policy")
    if entry.get("restart") is not None:
        restart, _, tries = str(scalar(entry["restart"])).partition(":")
        name = {"false": "no", "true": "always"}.get(restart, restart)
        host["RestartPolicy"] = {"Name": name, "MaximumRetryCount": int(tries) if tries.isdigit() else 0}
    elif isinstance(policy, dict):
        names = {"none": "no", "on-failure": "on-failure", "any": "always"}
        name = names.get(str(policy.get("condition") or "any"), "always")
        host["RestartPolicy"] = {"Name": name, "MaximumRetryCount": int(policy.get("max_attempts") or 0)}
    grace = duration_ns(entry, "stop_grace_period")
    if grace is not None:
        body["StopTimeout"] = max(1, grace // 10**9)
    if "healthcheck" in entry:
        body["Healthcheck"] = _healthcheck(entry)


def _healthcheck(entry: Located) -> dict[str, Any]:
    check = entry["healthcheck"]
    if not isinstance(check, Located):
        raise UsageError(f"{entry.where('healthcheck')}: a mapping is expected", "mend it")
    if check.get("disable"):
        return {"Test": ["NONE"]}
    test = check.get("test")
    found: dict[str, Any] = {"Test": ["CMD-SHELL", test] if isinstance(test, str) else test}
    for key, target in (
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start_period", "StartPeriod"),
        ("start_interval", "StartInterval"),
    ):
        if key in check:
            found[target] = duration_ns(check, key)
    if "retries" in check:
        found["Retries"] = int(check["retries"])
    return {key: value for key, value in found.items() if value is not None}


def _limits(entry: Located, host: dict[str, Any]) -> None:
    """Memory, processors, processes, open files."""
    for key, target in _SIZES.items():
        if entry.get(key) is not None:
            host[target] = size_bytes(str(entry[key]), entry.where(key))
    if entry.get("cpus") is not None:
        host["NanoCpus"] = _nano_cpus(entry, entry["cpus"])
    resources = (entry.get("deploy") or {}).get("resources") or {}
    limits, reserved = resources.get("limits") or {}, resources.get("reservations") or {}
    where = entry.where("deploy")
    if limits.get("memory") is not None:
        host["Memory"] = size_bytes(str(limits["memory"]), where)
    if limits.get("cpus") is not None:
        host["NanoCpus"] = _nano_cpus(entry, limits["cpus"])
    if limits.get("pids") is not None:
        host["PidsLimit"] = int(limits["pids"])
    if reserved.get("memory") is not None:
        host["MemoryReservation"] = size_bytes(str(reserved["memory"]), where)
    if "ulimits" in entry:
        limited = {
            name: one if isinstance(one, dict) else {"soft": one, "hard": one}
            for name, one in (entry["ulimits"] or {}).items()
        }
        host["Ulimits"] = [
            {"Name": name, "Soft": int(one["soft"]), "Hard": int(one["hard"])} for name, one in limited.items()
        ]


def _nano_cpus(entry: Located, value: Any) -> int:
    try:
        return round(float(value) * 10**9)
    except (TypeError, ValueError):
        raise UsageError(f"{entry.where('cpus')}: {value} is no number of processors", "write it like 1.5") from None


def _surroundings(entry: Located, host: dict[str, Any]) -> list[str]:
    """Names, capabilities, logging, nodes; the devices that are not carried."""
    if "extra_hosts" in entry:
        given = entry["extra_hosts"]
        lines = (
            given if isinstance(given, list) else [f"{name}={ip}" for name, ip in pairs(entry, "extra_hosts").items()]
        )
        host["ExtraHosts"] = [str(line).replace("=", ":", 1) for line in lines]
    for key, target in (
        ("dns", "Dns"),
        ("dns_search", "DnsSearch"),
        ("dns_opt", "DnsOptions"),
        ("group_add", "GroupAdd"),
    ):
        if entry.get(key) is not None:
            host[target] = listed(entry[key])
    for key, target in (("cap_add", "CapAdd"), ("cap_drop", "CapDrop")):
        if entry.get(key):
            host[target] = sorted(_capability(str(one)) for one in entry[key])
    for key, target in (("sysctls", "Sysctls"), ("annotations", "Annotations"), ("storage_opt", "StorageOpt")):
        if entry.get(key):
            host[target] = {name: value or "" for name, value in pairs(entry, key).items()}
    if "tmpfs" in entry:
        host["Tmpfs"] = tmpfs(entry)
    if entry.get("logging"):
        logging = entry["logging"]
        host["LogConfig"] = {"Type": logging.get("driver") or "", "Config": texts(logging.get("options"))}
    return _devices(entry, host)


def is_cdi_gpu(device: str) -> bool:
    """Whether an entry of `devices` names a GPU: Compose's other spelling of a CDI request."""
    return device.startswith(f"{CDI_KIND}=")


def _devices(entry: Located, host: dict[str, Any]) -> list[str]:
    left = []
    for one in entry.get("devices") or []:
        if isinstance(one, dict):
            parts = [str(one.get("source") or ""), str(one.get("target") or one.get("source") or "")]
            parts.append(str(one.get("permissions") or "rwm"))
        else:
            parts = str(one).split(":")
        if is_cdi_gpu(parts[0]):
            continue  # it is given as the service's GPUs are
        if "=" in parts[0]:
            left.append(f"devices {parts[0]} (a CDI name)")
            continue
        device = {
            "PathOnHost": parts[0],
            "PathInContainer": parts[1] if len(parts) > 1 else parts[0],
            "CgroupPermissions": parts[2] if len(parts) > 2 else "rwm",
        }
        host.setdefault("Devices", []).append(device)
    return left


def _capability(name: str) -> str:
    """A capability as the engine keeps it."""
    name = name.upper()
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


def _namespaces(entry: Located, context: Context, host: dict[str, Any]) -> list[str]:
    """Whose network, IPC, pids and volumes it uses."""
    left = []
    for key, target in (("network_mode", "NetworkMode"), ("ipc", "IpcMode"), ("pid", "PidMode")):
        value = entry.get(key)
        if value is None:
            continue
        kind, _, other = str(value).partition(":")
        if kind == "service":
            if other not in context.containers:
                where = entry.where(key)
                raise UsageError(f"{where}: there is no service {clean(other, 60)}", "name one of this file")
            value = f"container:{context.containers[other]}"
        host[target] = value
    for one in entry.get("volumes_from") or []:
        parts = str(one).split(":")
        if parts[0] == "container":
            host.setdefault("VolumesFrom", []).append(":".join(parts[1:]))
        elif parts[0] in context.containers:
            host.setdefault("VolumesFrom", []).append(":".join([context.containers[parts[0]], *parts[1:]]))
        else:
            left.append(f"volumes_from {parts[0]}")
    return left


def _networks(
    name: str, entry: Located, context: Context, body: dict[str, Any], host: dict[str, Any]
) -> dict[str, Any]:
    if entry.get("network_mode") is not None:
        return {}
    found = endpoints(entry, (context.containers.get(name, name), name), context.networks)
    primary, endpoint = found[0]
    host["NetworkMode"] = primary
    body["NetworkingConfig"] = {"EndpointsConfig": {primary: endpoint}}
    return dict(found[1:])
