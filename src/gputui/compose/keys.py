"""The keys of a service: their shape, how the values of two files are merged, and how they map to the engine.

One row per key. A key without a row or without a writer is unsupported: it is reported, and only prevents creating the
service from its file. Follows the Compose specification and the output of `docker compose config`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gputui.compose import mounts, networks, ports
from gputui.compose.document import Located, Place, places
from gputui.compose.gpu_requests import devices, gpus
from gputui.compose.merging import (
    Merge,
    added,
    appended,
    by_target,
    deep,
    later,
    merged_deploy,
    merged_healthcheck,
    merged_networks,
    merged_pairs,
    same_driver,
)
from gputui.compose.service_shapes import (
    HOOK,
    blkio,
    build,
    command,
    depends_on,
    deploy,
    env_file,
    exposed,
    extra_hosts,
    group,
    healthcheck,
    label_file,
    logging,
    text_list,
    tmpfs,
    ulimits,
)
from gputui.compose.shapes import (
    Shape,
    anything,
    boolean,
    by_name,
    duration,
    integer,
    number,
    one_of,
    pairs,
    record,
    sequence,
    size,
    text,
    text_pairs,
    texts,
)
from gputui.compose.writers import (
    Writer,
    into_body,
    into_host,
    size_into_host,
    write_blkio,
    write_capabilities,
    write_cpus,
    write_deploy,
    write_devices,
    write_environment,
    write_expose,
    write_extra_hosts,
    write_gpus,
    write_grace,
    write_grants,
    write_healthcheck,
    write_logging,
    write_namespace,
    write_ports,
    write_restart,
    write_security_opt,
    write_tmpfs,
    write_ulimits,
    write_volumes,
    write_volumes_from,
)
from gputui.domain.text import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key of a service. `keeps_nothing`: Compose prints it even if false, 0 or empty. `write` None: unsupported.
    `is_read`: it is not part of the container, or handled elsewhere."""

    shape: Shape
    merge: Merge = deep
    write: Writer | None = None
    is_read: bool = False
    keeps_nothing: bool = False


def _read(shape: Shape, merge: Merge = deep, *, keeps_nothing: bool = False) -> Key:
    return Key(shape=shape, merge=merge, is_read=True, keeps_nothing=keeps_nothing)


SERVICE_KEYS: dict[str, Key] = {
    "annotations": Key(shape=text_pairs, merge=merged_pairs, write=into_host("Annotations")),
    "attach": _read(boolean, keeps_nothing=True),
    "blkio_config": Key(shape=blkio, write=write_blkio),
    "build": _read(build),
    "cap_add": Key(shape=sequence(text, unique=True), merge=appended, write=write_capabilities("CapAdd")),
    "cap_drop": Key(shape=sequence(text, unique=True), merge=appended, write=write_capabilities("CapDrop")),
    "cgroup": Key(shape=one_of("host", "private"), write=into_host("CgroupnsMode")),
    "cgroup_parent": Key(shape=text, write=into_host("CgroupParent")),
    "command": Key(shape=command, merge=later, write=into_body("Cmd"), keeps_nothing=True),
    "configs": Key(shape=mounts.grants(None), merge=by_target, write=write_grants("configs")),
    "container_name": _read(text),
    "cpu_count": Key(shape=integer(0), write=into_host("CpuCount")),
    "cpu_percent": Key(shape=number, write=into_host("CpuPercent")),
    "cpu_period": Key(shape=integer(), write=into_host("CpuPeriod")),
    "cpu_quota": Key(shape=integer(), write=into_host("CpuQuota")),
    "cpu_rt_period": Key(shape=integer(), write=into_host("CpuRealtimePeriod")),
    "cpu_rt_runtime": Key(shape=integer(), write=into_host("CpuRealtimeRuntime")),
    "cpu_shares": Key(shape=integer(), write=into_host("CpuShares")),
    "cpus": Key(shape=number, write=write_cpus),
    "cpuset": Key(shape=text, write=into_host("CpusetCpus")),
    "credential_spec": Key(shape=record({"config": text, "file": text, "registry": text})),
    "depends_on": _read(depends_on),
    "deploy": Key(shape=deploy, merge=merged_deploy, write=write_deploy, keeps_nothing=True),
    "develop": _read(anything, keeps_nothing=True),
    "device_cgroup_rules": Key(shape=texts, merge=appended, write=into_host("DeviceCgroupRules")),
    "devices": Key(shape=devices, merge=by_target, write=write_devices),
    "dns": Key(shape=text_list, merge=appended, write=into_host("Dns")),
    "dns_opt": Key(shape=text_list, merge=appended, write=into_host("DnsOptions")),
    "dns_search": Key(shape=text_list, merge=appended, write=into_host("DnsSearch")),
    "domainname": Key(shape=text, write=into_body("Domainname")),
    "entrypoint": Key(shape=command, merge=later, write=into_body("Entrypoint"), keeps_nothing=True),
    "env_file": _read(
        env_file, merge=lambda base, over: list({entry["path"]: entry for entry in [*base, *over]}.values())
    ),
    "environment": Key(shape=pairs, merge=merged_pairs, write=write_environment),
    "expose": Key(shape=sequence(exposed, unique=True), merge=appended, write=write_expose),
    "external_links": Key(shape=sequence(text, distinct=True), merge=added),
    "extra_hosts": Key(shape=extra_hosts, merge=appended, write=write_extra_hosts),
    "gpus": Key(shape=gpus, merge=added, write=write_gpus),
    "group_add": Key(shape=sequence(group, distinct=True), merge=added, write=into_host("GroupAdd")),
    "healthcheck": Key(shape=healthcheck, merge=merged_healthcheck, write=write_healthcheck, keeps_nothing=True),
    "hostname": Key(shape=text, write=into_body("Hostname")),
    "image": Key(shape=text, write=into_body("Image")),
    "init": Key(shape=boolean, write=into_host("Init"), keeps_nothing=True),
    "ipc": Key(shape=text, write=write_namespace("IpcMode")),
    "isolation": Key(shape=text, write=into_host("Isolation")),
    "label_file": _read(label_file, merge=appended),
    "labels": _read(text_pairs, merge=merged_pairs),
    "links": Key(shape=sequence(text, unique=True), merge=appended),
    "logging": Key(shape=logging, merge=same_driver, write=write_logging, keeps_nothing=True),
    "mac_address": Key(shape=text, write=into_body("MacAddress")),
    "mem_limit": Key(shape=size, write=size_into_host("Memory")),
    "mem_reservation": Key(shape=size, write=size_into_host("MemoryReservation")),
    "mem_swappiness": Key(shape=size, write=size_into_host("MemorySwappiness")),
    "memswap_limit": Key(shape=size, write=size_into_host("MemorySwap")),
    "models": Key(shape=by_name(anything, bare=True)),
    "network_mode": Key(shape=text, write=write_namespace("NetworkMode")),
    "networks": _read(networks.service_networks, merge=merged_networks, keeps_nothing=True),
    "oom_kill_disable": Key(shape=boolean, write=into_host("OomKillDisable")),
    "oom_score_adj": Key(shape=integer(-1000, 1000), write=into_host("OomScoreAdj")),
    "pid": Key(shape=text, write=write_namespace("PidMode")),
    "pids_limit": Key(shape=integer(), write=into_host("PidsLimit")),
    "platform": _read(text),
    "ports": Key(shape=ports.ports, merge=lambda base, over: ports.unique_ports([*base, *over]), write=write_ports),
    "post_start": Key(shape=sequence(HOOK), merge=added),
    "pre_stop": Key(shape=sequence(HOOK), merge=added),
    "privileged": Key(shape=boolean, write=into_host("Privileged")),
    "profiles": _read(sequence(text, unique=True), merge=appended),
    "provider": Key(shape=anything),
    "pull_policy": _read(lambda value, place: "missing" if value == "if_not_present" else text(value, place)),
    "pull_refresh_after": _read(lambda _value, _place: None),
    "read_only": Key(shape=boolean, write=into_host("ReadonlyRootfs")),
    "restart": Key(shape=text, write=write_restart),
    "runtime": Key(shape=text, write=into_host("Runtime")),
    "scale": _read(integer(0), keeps_nothing=True),
    "secrets": Key(shape=mounts.grants("/run/secrets/"), merge=by_target, write=write_grants("secrets")),
    "security_opt": Key(shape=sequence(text, distinct=True), merge=added, write=write_security_opt),
    "shm_size": Key(shape=size, write=size_into_host("ShmSize")),
    "stdin_open": Key(shape=boolean, write=into_body("OpenStdin")),
    "stop_grace_period": Key(shape=duration, write=write_grace, keeps_nothing=True),
    "stop_signal": Key(shape=text, write=into_body("StopSignal")),
    "storage_opt": Key(shape=text_pairs, write=into_host("StorageOpt")),
    "sysctls": Key(shape=text_pairs, merge=merged_pairs, write=into_host("Sysctls")),
    "tmpfs": Key(shape=tmpfs, merge=appended, write=write_tmpfs),
    "tty": Key(shape=boolean, write=into_body("Tty")),
    "ulimits": Key(shape=ulimits, merge=merged_pairs, write=write_ulimits),
    "use_api_socket": Key(shape=boolean),
    "user": Key(shape=text, write=into_body("User")),
    "userns_mode": Key(shape=text, write=into_host("UsernsMode")),
    "uts": Key(shape=text, write=into_host("UTSMode")),
    "volumes": Key(shape=mounts.mounts, merge=by_target, write=write_volumes),
    "volumes_from": Key(shape=sequence(text, distinct=True), merge=added, write=write_volumes_from),
    "working_dir": Key(shape=text, write=into_body("WorkingDir")),
}


def canonical_service(entry: Located, place: Place) -> Located:
    """A service of one file with each value in its canonical form; unknown keys stay as they are.

    Raises:
        UsageError: a key has an invalid value.
    """
    canonical = Located(entry.file)
    for key, value, key_place in places(entry, place):
        row = SERVICE_KEYS.get(key)
        canonical[key] = value if row is None or value is None else row.shape(value, key_place)
        canonical.take_place(entry, key)
    return canonical


def merged_service(base: Located, over: Located) -> Located:
    """A service merged from two files, or with the one it extends."""
    merged = Located(over.file)
    for source in (base, over):
        for key in source:
            base_value, over_value = base.get(key), over.get(key)
            row = SERVICE_KEYS.get(key)
            if key not in over or (over_value is None and not (row and row.merge is later)):
                merged[key] = base_value
            elif base_value is None:
                merged[key] = over_value
            else:
                merged[key] = row.merge(base_value, over_value) if row else deep(base_value, over_value)
            merged.take_place(source, key)
    return merged


def printed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A service without the values that Compose omits: false, 0 and empty ones."""
    nonempty = {}
    for key, value in entry.items():
        row = SERVICE_KEYS.get(key)
        if value is None or (not value and not (row and row.keeps_nothing) and not key.startswith("x-")):
            continue
        nonempty[key] = value
    return nonempty


def unsupported_keys(entry: Mapping[str, Any]) -> list[str]:
    """The keys of a service that cannot be expressed in a create call."""
    rows = ((key, SERVICE_KEYS.get(key)) for key in entry if not key.startswith("x-"))
    return [clean(key, 60) for key, row in rows if row is None or (row.write is None and not row.is_read)]
