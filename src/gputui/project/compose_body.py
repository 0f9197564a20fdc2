"""A service of a Compose file as the body of a container's create call, without its GPUs."""

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gputui.domain.compose import Resource
from gputui.domain.errors import UsageError
from gputui.domain.text import clean
from gputui.project.compose_yaml import Located

_NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)")

# Keys that mean nothing for one container on one host, or that are read elsewhere.
_ELSEWHERE = {"image", "container_name", "depends_on", "gpus", "deploy", "pull_policy", "networks", "annotations"}

_PLAIN = {
    "user": "User",
    "working_dir": "WorkingDir",
    "hostname": "Hostname",
    "domainname": "Domainname",
    "tty": "Tty",
    "stdin_open": "OpenStdin",
    "stop_signal": "StopSignal",
}
_PLAIN_HOST = {
    "ipc": "IpcMode",
    "pid": "PidMode",
    "privileged": "Privileged",
    "cap_add": "CapAdd",
    "cap_drop": "CapDrop",
    "read_only": "ReadonlyRootfs",
    "security_opt": "SecurityOpt",
    "group_add": "GroupAdd",
    "init": "Init",
    "runtime": "Runtime",
    "network_mode": "NetworkMode",
}
_SHAPED = {
    "command", "entrypoint", "environment", "env_file", "labels", "volumes", "ports", "restart", "shm_size",
    "healthcheck", "stop_grace_period", "extra_hosts", "tmpfs", "ulimits", "mem_limit", "logging",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a service's keys are read by. `networks` and `volumes`: key → (engine's name, what makes it)."""

    project: str
    directory: Path
    files: tuple[str, ...]
    networks: Mapping[str, tuple[str, Resource | None]]
    volumes: Mapping[str, tuple[str, Resource | None]]
    variables: Mapping[str, str]


def resources(whole: Located, section: str, project: str) -> dict[str, tuple[str, Resource | None]]:
    """The networks or volumes of a project by their keys: the engine's name of each, and what makes those that the
    project owns (None for external ones)."""
    found: dict[str, tuple[str, Resource | None]] = {}
    entries = dict(whole.get(section) or {})
    if section == "networks":
        entries.setdefault("default", None)
    for key, entry in entries.items():
        settings = entry or {}
        external = settings.get("external")
        named = (external.get("name") if isinstance(external, dict) else None) or settings.get("name")
        name = str(named or (key if external else f"{project}_{key}"))
        kind = section.removesuffix("s")
        labels = {
            **{label: value or "" for label, value in pairs(settings, "labels").items()},
            "com.docker.compose.project": project,
            f"com.docker.compose.{kind}": key,
        }
        body = _network(settings) if section == "networks" else _volume(settings)
        found[key] = (name, None if external else Resource(key=key, name=name, body={**body, "Labels": labels}))
    return found


def _network(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The body that makes a network (`POST /networks/create`)."""
    body: dict[str, Any] = {
        "Driver": settings.get("driver") or "bridge",
        "Options": _texts(settings.get("driver_opts")),
        "Internal": bool(settings.get("internal")),
        "Attachable": bool(settings.get("attachable")),
        "EnableIPv6": bool(settings.get("enable_ipv6")),
    }
    ipam = settings.get("ipam")
    if ipam:
        names = {"subnet": "Subnet", "ip_range": "IPRange", "gateway": "Gateway", "aux_addresses": "AuxiliaryAddresses"}
        pools = [
            {names[key]: value for key, value in pool.items() if key in names} for pool in ipam.get("config") or []
        ]
        options = _texts(ipam.get("options"))
        body["IPAM"] = {"Driver": ipam.get("driver") or "default", "Config": pools, "Options": options}
    return body


def _volume(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The body that makes a volume (`POST /volumes/create`)."""
    return {"Driver": settings.get("driver") or "local", "DriverOpts": _texts(settings.get("driver_opts"))}


def _texts(values: Any) -> dict[str, str]:
    return {str(key): str(_scalar(value) or "") for key, value in (values or {}).items()}


def body_of(name: str, entry: Located, context: Context) -> tuple[dict[str, Any], dict[str, Any], tuple[str, ...]]:
    """The create body, the further networks, and the keys that are not carried."""
    known = {*_ELSEWHERE, *_PLAIN, *_PLAIN_HOST, *_SHAPED}
    not_carried = [clean(key, 60) for key in entry if key not in known and not key.startswith("x-")]
    not_carried += _nested_not_carried(entry)
    if not entry.get("image"):
        not_carried += [] if "build" in not_carried else ["image (missing)"]
    host: dict[str, Any] = {}
    body: dict[str, Any] = {"Image": entry.get("image"), "HostConfig": host}
    for key, target in _PLAIN.items():
        if key in entry:
            body[target] = entry[key]
    for key, target in _PLAIN_HOST.items():
        if key in entry:
            host[target] = entry[key]
    body["Cmd"] = _words(entry, "command")
    body["Entrypoint"] = _words(entry, "entrypoint")
    body["Env"] = _environment(entry, context)
    body["Labels"] = _labels(name, entry, context)
    _volumes(entry, context, host)
    _ports(entry, body, host)
    _rest(entry, body, host)
    networks = _networks(name, entry, context, body, host)
    body = {key: value for key, value in body.items() if value is not None}
    return body, networks, tuple(not_carried)


_BIND_OPTIONS = {"ro", "rw"}
_LONG_VOLUME = {"type", "source", "target", "read_only"}
_LONG_PORT = {"target", "published", "protocol", "host_ip", "name", "app_protocol", "mode"}


def _nested_not_carried(entry: Located) -> list[str]:
    """Keys inside keys that change what a container is, and that gputui does not carry."""
    deploy = entry.get("deploy") or {}
    resources = deploy.get("resources") or {}
    found = ["deploy.resources.limits"] if resources.get("limits") else []
    found += [f"deploy.{key}" for key in ("replicas", "placement") if key in deploy]
    for one in entry.get("volumes") or []:
        if isinstance(one, dict):
            found += [f"volumes.{key}" for key in one if key not in _LONG_VOLUME and one[key]]
        else:
            rest = str(one).partition(":")[2]
            options = set(rest.split(":")[1].split(",")) if rest.count(":") else set()
            found += [f"volumes :{option}" for option in sorted(options - _BIND_OPTIONS)]
    for one in entry.get("ports") or []:
        if isinstance(one, dict):
            found += [f"ports.{key}" for key in one if key not in _LONG_PORT]
        elif "-" in str(one):
            found.append("ports as a range")
    return [clean(key, 80) for key in found]


def _words(entry: Located, key: str) -> list[str] | None:
    value = entry.get(key)
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise UsageError(f"{entry.where(key)}: {error}", "check its quotes") from None
    if isinstance(value, list):
        return [str(word) for word in value]
    raise UsageError(f"{entry.where(key)}: a text or a list of words is expected", "mend it")


def pairs(entry: Mapping[str, Any], key: str) -> dict[str, str | None]:
    """A mapping that may also be written as a list of `name=value`."""
    value = entry.get(key)
    if value is None:
        return {}
    if isinstance(value, list):
        split = (str(line).partition("=") for line in value)
        return {name: text if sign else None for name, sign, text in split}
    if isinstance(value, dict):
        return {str(name): _scalar(text) for name, text in value.items()}
    where = entry.where(key) if isinstance(entry, Located) else key
    raise UsageError(f"{where}: a mapping or a list of name=value is expected", "mend it")


def _scalar(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _environment(entry: Located, context: Context) -> list[str]:
    found: dict[str, str] = {}
    files = entry.get("env_file") or []
    for one in files if isinstance(files, list) else [files]:
        path = one.get("path") if isinstance(one, dict) else one
        required = one.get("required", True) if isinstance(one, dict) else True
        try:
            lines = (context.directory / str(path)).read_text(errors="replace").splitlines()
        except OSError as error:
            if not required:
                continue
            raise UsageError(f"{entry.where('env_file')}: {path}: {error.strerror}", "check the path") from None
        for line in lines:
            name, sign, value = line.strip().partition("=")
            if sign and not name.startswith("#"):
                found[name] = value.strip("\"'")
    for name, text in pairs(entry, "environment").items():
        inherited = context.variables.get(name) if text is None else text
        if inherited is not None:
            found[name] = inherited
    return [f"{name}={value}" for name, value in found.items()]


def _labels(name: str, entry: Located, context: Context) -> dict[str, str]:
    return {
        **{key: value or "" for key, value in pairs(entry, "labels").items()},
        "com.docker.compose.project": context.project,
        "com.docker.compose.service": name,
        "com.docker.compose.container-number": "1",
        "com.docker.compose.oneoff": "False",
        "com.docker.compose.project.working_dir": str(context.directory),
        "com.docker.compose.project.config_files": ",".join(context.files),
    }


def _volumes(entry: Located, context: Context, host: dict[str, Any]) -> None:
    binds, mounts = [], []
    for one in entry.get("volumes") or []:
        if isinstance(one, dict):
            kind, source, target = one.get("type"), str(one.get("source") or ""), str(one.get("target") or "")
            read_only = bool(one.get("read_only"))
        else:
            parts = str(one).split(":")
            source, target = (parts[0], parts[1]) if len(parts) > 1 else ("", parts[0])
            read_only = len(parts) > 2 and "ro" in parts[2].split(",")
            kind = "bind" if source.startswith((".", "/", "~")) else "volume"
        if not target:
            raise UsageError(
                f"{entry.where('volumes')}: a volume without a place in the container", "write source:target"
            )
        if kind == "bind":
            path = (context.directory / _expanded(entry, source)).resolve()
            binds.append(f"{path}:{target}" + (":ro" if read_only else ""))
        elif kind == "tmpfs":
            host.setdefault("Tmpfs", {})[target] = ""
        else:
            if source and source not in context.volumes:
                raise UsageError(f"{entry.where('volumes')}: the volume {source} is not declared", "add it to volumes:")
            real = context.volumes[source][0] if source else ""
            mounts.append({"Type": "volume", "Source": real, "Target": target, "ReadOnly": read_only})
    host["Binds"] = binds
    host["Mounts"] = mounts


def _expanded(entry: Located, source: str) -> Path:
    try:
        return Path(source).expanduser()
    except RuntimeError:
        raise UsageError(
            f"{entry.where('volumes')}: {source} names no home directory", "write the whole path"
        ) from None


def _ports(entry: Located, body: dict[str, Any], host: dict[str, Any]) -> None:
    bindings: dict[str, list[dict[str, str]]] = {}
    for one in entry.get("ports") or []:
        if isinstance(one, dict):
            protocol, target = one.get("protocol") or "tcp", str(one.get("target"))
            published, address = str(one.get("published") or ""), str(one.get("host_ip") or "")
        elif "-" in str(one):
            continue  # a range is told not to be carried
        else:
            text, _, protocol = str(one).partition("/")
            match = re.fullmatch(r"(?:(?:(.+):)?(\d*):)?(\d+)", text)
            if match is None:
                raise UsageError(f"{entry.where('ports')}: {one} is not read by gputui", "write host:container")
            address, published, target = match[1] or "", match[2] or "", match[3]
        binding = {"HostIp": address.strip("[]"), "HostPort": published}
        bindings.setdefault(f"{target}/{protocol or 'tcp'}", []).append(binding)
    if bindings:
        body["ExposedPorts"] = {port: {} for port in bindings}
        host["PortBindings"] = bindings


def duration_ns(entry: Located, key: str) -> int | None:
    """A duration such as `1m30s` in nanoseconds, as the Engine API takes it."""
    value = entry.get(key)
    if value is None:
        return None
    parts = _DURATION.findall(str(value))
    if not parts or "".join(number + unit for number, unit in parts) != str(value):
        raise UsageError(f"{entry.where(key)}: {value} is no duration", "write it like 30s or 1m30s")
    return int(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))


def _rest(entry: Located, body: dict[str, Any], host: dict[str, Any]) -> None:
    restart, _, tries = str(entry.get("restart") or "no").partition(":")
    host["RestartPolicy"] = {"Name": restart, "MaximumRetryCount": int(tries) if tries.isdigit() else 0}
    for key, target in (("shm_size", "ShmSize"), ("mem_limit", "Memory")):
        if key in entry:
            text = str(entry[key])
            host[target] = _bytes(text, entry.where(key))
    grace = duration_ns(entry, "stop_grace_period")
    if grace is not None:
        body["StopTimeout"] = max(1, grace // 10**9)
    if "healthcheck" in entry:
        body["Healthcheck"] = _healthcheck(entry)
    if "extra_hosts" in entry:
        host["ExtraHosts"] = [f"{name}:{ip}" for name, ip in pairs(entry, "extra_hosts").items()]
        if isinstance(entry["extra_hosts"], list):
            host["ExtraHosts"] = [str(line).replace("=", ":", 1) for line in entry["extra_hosts"]]
    if "tmpfs" in entry:
        places = entry["tmpfs"] if isinstance(entry["tmpfs"], list) else [entry["tmpfs"]]
        host.setdefault("Tmpfs", {}).update(
            {str(place).partition(":")[0]: str(place).partition(":")[2] for place in places}
        )
    if "ulimits" in entry:
        limits = {
            name: one if isinstance(one, dict) else {"soft": one, "hard": one} for name, one in entry["ulimits"].items()
        }
        host["Ulimits"] = [
            {"Name": name, "Soft": int(one["soft"]), "Hard": int(one["hard"])} for name, one in limits.items()
        ]
    if "logging" in entry:
        logging = entry["logging"]
        host["LogConfig"] = {"Type": logging.get("driver") or "", "Config": dict(logging.get("options") or {})}


_BYTES = re.compile(r"^(\d+)\s*([kmgt]?)b?$", re.IGNORECASE)


def _bytes(text: str, where: str) -> int:
    """A size as Compose reads it: every unit is binary, `8gb` too, and a bare number is bytes."""
    match = _BYTES.match(text.strip())
    if match is None:
        raise UsageError(f"{where}: {text} is no size", "write it like 512mb or 8g")
    power = "kmgt".index(match[2].lower()) + 1 if match[2] else 0
    return int(match[1]) * int(1024**power)


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


def _networks(
    name: str, entry: Located, context: Context, body: dict[str, Any], host: dict[str, Any]
) -> dict[str, Any]:
    if "network_mode" in entry:
        return {}
    wanted = entry.get("networks") or {"default": None}
    if isinstance(wanted, list):
        wanted = dict.fromkeys(wanted)
    endpoints: dict[str, Any] = {}
    for key, given in wanted.items():
        if key not in context.networks:
            raise UsageError(f"{entry.where('networks')}: the network {key} is not declared", "add it to networks:")
        settings = given or {}
        address = {"IPv4Address": settings.get("ipv4_address"), "IPv6Address": settings.get("ipv6_address")}
        endpoint: dict[str, Any] = {"Aliases": [name, *(settings.get("aliases") or [])]}
        if any(address.values()):
            endpoint["IPAMConfig"] = {key: value for key, value in address.items() if value}
        endpoints[context.networks[key][0]] = endpoint
    primary = next(iter(endpoints))
    host["NetworkMode"] = primary
    body["NetworkingConfig"] = {"EndpointsConfig": {primary: endpoints.pop(primary)}}
    return endpoints
