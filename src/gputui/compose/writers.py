"""Writes the keys of a service into the engine's create call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gputui.compose import gpu_requests, mounts, ports
from gputui.compose.document import Place
from gputui.compose.mounts import absolute_path
from gputui.compose.scalars import duration_ns
from gputui.compose.shapes import unrepeated
from gputui.domain.text import clean, real_number, whole_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The create call that a service's keys are written into (`body`, `host` for its HostConfig), and their context:
    the project's volumes by their name on the engine, its secrets and configs, and the container names of its services.
    `unsupported` collects what cannot be written."""

    name: str
    body: dict[str, Any]
    host: dict[str, Any]
    place: Place
    volumes: mounts.Named
    secrets: Mapping[str, Any]
    configs: Mapping[str, Any]
    containers: Mapping[str, str]
    unsupported: list[str] = field(default_factory=list)


Writer = Callable[[Any, Target], None]


def into_body(name: str) -> Writer:
    """Copies the value into the body under this name."""

    def write(value: Any, target: Target) -> None:
        target.body[name] = value

    return write


def into_host(name: str) -> Writer:
    """Copies the value into HostConfig under this name."""

    def write(value: Any, target: Target) -> None:
        target.host[name] = value

    return write


def size_into_host(name: str) -> Writer:
    """Writes the value in bytes into HostConfig under this name."""

    def write(value: Any, target: Target) -> None:
        number_of_bytes = whole_number(value)
        if number_of_bytes:
            target.host[name] = number_of_bytes

    return write


def write_environment(value: Mapping[str, str | None], target: Target) -> None:
    """`NAME=value` lines."""
    # A name without a value removes the image's variable.
    target.body["Env"] = [name if setting is None else f"{name}={setting}" for name, setting in value.items()]


def write_healthcheck(value: Mapping[str, Any], target: Target) -> None:
    """The health check; the engine takes durations in nanoseconds."""
    if value.get("disable"):
        target.body["Healthcheck"] = {"Test": ["NONE"]}
        return
    check: dict[str, Any] = {"Test": value.get("test")}
    for key, name in (
        ("interval", "Interval"), ("timeout", "Timeout"), ("start_period", "StartPeriod"),
        ("start_interval", "StartInterval"),
    ):  # fmt: skip
        check[name] = None if value.get(key) is None else duration_ns(str(value[key]), target.place)
    check["Retries"] = value.get("retries")
    target.body["Healthcheck"] = {name: setting for name, setting in check.items() if setting is not None}


def write_restart(value: str, target: Target) -> None:
    """The policy, with its maximum number of retries."""
    name, _, tries = value.partition(":")
    target.host["RestartPolicy"] = {"Name": name, "MaximumRetryCount": whole_number(tries, least=0) or 0}


def write_deploy(value: Mapping[str, Any], target: Target) -> None:
    """The limits and the restart policy; GPUs are injected elsewhere."""
    policy = value.get("restart_policy")
    if policy and "RestartPolicy" not in target.host:
        names = {"none": "no", "on-failure": "on-failure", "any": "always"}
        name = names.get(str(policy.get("condition") or "any"), "always")
        target.host["RestartPolicy"] = {"Name": name, "MaximumRetryCount": policy.get("max_attempts") or 0}
    resources = value.get("resources") or {}
    limits, reserved = resources.get("limits") or {}, resources.get("reservations") or {}
    if limits.get("memory") is not None:
        target.host["Memory"] = whole_number(limits["memory"])
    if limits.get("cpus") is not None:
        write_cpus(limits["cpus"], target)
    if limits.get("pids") is not None:
        target.host["PidsLimit"] = whole_number(limits["pids"])
    if reserved.get("memory") is not None:
        target.host["MemoryReservation"] = whole_number(reserved["memory"])
    _write_requests(reserved.get("devices") or [], target)


NVIDIA_DRIVERS = ("", "nvidia", "cdi")


def refuse_other_vendor(driver: str, target: Target) -> None:
    """Report devices of other vendors as unsupported."""
    if driver not in NVIDIA_DRIVERS:
        target.unsupported.append(f"devices (driver {clean(driver, 40)})")


def _write_requests(value: list[Any], target: Target) -> None:
    for vendor in dict.fromkeys(str(device_request.get("driver") or "") for device_request in value):
        refuse_other_vendor(vendor, target)
    for device_request in value:
        if (device_request.get("driver") or "") not in NVIDIA_DRIVERS:
            continue
        capabilities = [str(name) for name in device_request.get("capabilities") or []]
        request = {
            "Driver": str(device_request.get("driver") or ""),
            "Count": device_request.get("count") or 0,
            "DeviceIDs": list(device_request.get("device_ids") or []),
            "Capabilities": [capabilities or ["gpu"]],
            "Options": dict(device_request.get("options") or {}),
        }
        target.host.setdefault("DeviceRequests", []).append(request)


def write_gpus(value: list[Any], target: Target) -> None:
    """The GPU requests as written; GPUs are injected elsewhere."""
    _write_requests(value, target)


def write_cpus(value: Any, target: Target) -> None:
    """CPUs, in units of 10⁻⁹."""
    count = real_number(value)
    if count is not None:
        target.host["NanoCpus"] = round(count * 10**9)


def write_ulimits(value: Mapping[str, Any], target: Target) -> None:
    """Each limit with its soft and hard value."""
    limits = {
        name: limit if isinstance(limit, dict) else {"soft": limit, "hard": limit} for name, limit in value.items()
    }
    target.host["Ulimits"] = [
        {"Name": name, "Soft": limit.get("soft") or 0, "Hard": limit.get("hard") or 0} for name, limit in limits.items()
    ]


def write_extra_hosts(value: list[str], target: Target) -> None:
    """`name:address` lines."""
    target.host["ExtraHosts"] = [line.replace("=", ":", 1) for line in value]


def write_capabilities(name: str) -> Writer:
    """Writes capabilities in the engine's form."""

    def write(value: list[str], target: Target) -> None:
        target.host[name] = sorted(unrepeated([capability(word) for word in value]))

    return write


def capability(name: str) -> str:
    """A capability in the engine's form."""
    name = name.upper()
    return name if name == "ALL" or name.startswith("CAP_") else f"CAP_{name}"


def write_tmpfs(value: list[str], target: Target) -> None:
    """Options by target path."""
    target.host["Tmpfs"] = {mount.partition(":")[0]: mount.partition(":")[2] for mount in value}


def write_logging(value: Mapping[str, Any], target: Target) -> None:
    """The driver and its options."""
    if value:
        target.host["LogConfig"] = {"Type": value.get("driver") or "", "Config": value.get("options") or {}}


def write_grace(value: str, target: Target) -> None:
    """The grace period in whole seconds."""
    target.body["StopTimeout"] = max(0, duration_ns(value, target.place)) // 10**9


SECCOMP_LIMIT = 2**20


def write_security_opt(value: list[str], target: Target) -> None:
    """The security options; the content of a seccomp profile, whose path is relative to the file, is sent inline."""
    options = []
    for option in value:
        name, sign, profile = option.partition(":" if option.startswith("seccomp:") else "=")
        if name != "seccomp" or not sign or profile in ("unconfined", "builtin"):
            options.append(option)
            continue
        path = Path(absolute_path(profile, target.place))
        try:
            with path.open(encoding="utf-8") as stream:
                content = stream.read(SECCOMP_LIMIT + 1)
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not text"
            target.unsupported.append(f"security_opt {clean(profile, 80)} ({reason})")
            continue
        options.append(f"seccomp={content}")
    target.host["SecurityOpt"] = options


def write_namespace(name: str) -> Writer:
    """Writes a namespace mode; another service is referred to by its container."""

    def write(value: str, target: Target) -> None:
        kind, _, service = value.partition(":")
        if kind == "service":
            value = f"container:{target.containers.get(service, service)}"
        target.host[name] = value

    return write


def write_volumes_from(value: list[str], target: Target) -> None:
    """Volumes of other containers; services are referred to by their containers."""
    for reference in value:
        parts = reference.split(":")
        if parts[0] == "container":
            target.host.setdefault("VolumesFrom", []).append(":".join(parts[1:]))
        elif parts[0] in target.containers:
            source = ":".join([target.containers[parts[0]], *parts[1:]])
            target.host.setdefault("VolumesFrom", []).append(source)
        else:
            target.unsupported.append(f"volumes_from {clean(parts[0], 60)}")


def write_expose(value: list[str], target: Target) -> None:
    """Ports as written: Compose adds no protocol, and computes its config hash without one."""
    target.body.setdefault("ExposedPorts", {}).update({port: {} for port in value})


def write_blkio(value: Mapping[str, Any], target: Target) -> None:
    """Block I/O limits under the engine's names, with rates as numbers."""
    names = {"read": "Read", "write": "Write", "bps": "Bps", "iops": "IOps"}
    for key, setting in value.items():
        if key == "weight":
            target.host["BlkioWeight"] = setting
        elif key == "weight_device":
            target.host["BlkioWeightDevice"] = list(setting)
        else:
            _, kind, unit = key.split("_")
            rates = [{"Path": device["Path"], "Rate": whole_number(device["Rate"]) or 0} for device in setting]
            target.host[f"BlkioDevice{names[kind]}{names[unit]}"] = rates


def write_volumes(value: list[Any], target: Target) -> None:
    """See `mounts.write_mounts`."""
    target.unsupported.extend(mounts.write_mounts(value, target.volumes, target.host, target.place))


def write_grants(section: str) -> Writer:
    """See `mounts.write_grants`."""

    def write(value: list[Any], target: Target) -> None:
        declared = target.secrets if section == "secrets" else target.configs
        target.unsupported.extend(mounts.write_grants(section, value, declared, target.host, target.place))

    return write


def write_ports(value: list[Any], target: Target) -> None:
    """See `ports.write_ports`."""
    ports.write_ports(value, target.body, target.host)


def write_devices(value: list[Any], target: Target) -> None:
    """See `gpu_requests.write_devices`."""
    target.unsupported.extend(clean(key, 80) for key in gpu_requests.write_devices(value, target.host))
