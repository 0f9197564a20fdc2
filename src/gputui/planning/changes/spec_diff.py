"""The differences between two specs of a container, field by field, and what stays."""

from collections.abc import Mapping, Sequence
from typing import Any

from gputui.domain.container import GPU_VARIABLES, ContainerSpec
from gputui.domain.text import clean, mask_command, mask_secret

OWN_LABELS = "io.gputui."
OF_THE_CLIENT = ("AttachStdin", "AttachStdout", "AttachStderr")
"""What `docker run` itself attached to, which is not part of the container."""
_SHOWN = 120


def spec_diff(old_spec: ContainerSpec, new_spec: ContainerSpec) -> tuple[str, ...]:
    """Readable lines, one per changed field, without the GPU request, its variables, and gputui's own labels. Secrets
    are masked."""
    old, new = _fields(old_spec), _fields(new_spec)
    return tuple(
        f"{clean(name, 100)}: {_value_text(name, old.get(name))} → {_value_text(name, new.get(name))}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    )


def unchanged_summary(spec: ContainerSpec) -> str:
    """A readable line on how much of a container is carried over unchanged."""
    body, host = spec.body, spec.body.get("HostConfig") or {}
    joined = [*(body.get("NetworkingConfig") or {}).get("EndpointsConfig", {}), *spec.networks]
    counts = [
        (len(body.get("Env") or []), "variables"),
        (len(host.get("Binds") or []) + len(host.get("Mounts") or []), "mounts"),
        (len(joined), "networks"),
        (len(host.get("PortBindings") or {}), "ports"),
    ]
    parts = [f"{number} {name if number != 1 else name[:-1]}" for number, name in counts if number]
    parts += ["healthcheck"] if body.get("Healthcheck") else []
    policy = (host.get("RestartPolicy") or {}).get("Name")
    parts += [f"restart {clean(str(policy), 30)}"] if policy not in (None, "", "no") else []
    return "all else stays: " + ", ".join(parts) if parts else "all else stays"


def _fields(spec: ContainerSpec) -> dict[str, Any]:
    body = {name: value for name, value in spec.body.items() if name not in OF_THE_CLIENT}
    host = dict(body.pop("HostConfig", None) or {})
    host.pop("DeviceRequests", None)
    networking = body.pop("NetworkingConfig", None) or {}
    fields: dict[str, Any] = {}
    for line in body.pop("Env", None) or []:
        name, _, value = str(line).partition("=")
        if name not in GPU_VARIABLES:
            fields[f"environment {name}"] = value
    for name, value in (body.pop("Labels", None) or {}).items():
        if not str(name).startswith(OWN_LABELS):
            fields[f"label {name}"] = value
    for name, value in {**networking.get("EndpointsConfig", {}), **spec.networks}.items():
        fields[f"network {name}"] = _plain(value)
    for place, mount in enumerate(host.pop("Mounts", None) or []):
        fields[f"mount {mount.get('Target', place)}"] = _plain(mount)
    for bind in host.pop("Binds", None) or []:
        source, _, target = str(bind).partition(":")
        fields[f"mount {target.partition(':')[0]}"] = f"{source} {target.partition(':')[2]}".strip()
    fields |= {name: _plain(value) for name, value in (body | host).items()}
    return {name: value for name, value in fields.items() if value not in (None, "", [], {}, False, 0)}


def _plain(value: Any) -> Any:
    """Without unset values, so that "missing" and "empty" are equal."""
    if isinstance(value, Mapping):
        inner = {key: _plain(entry) for key, entry in value.items()}
        return {key: entry for key, entry in inner.items() if entry not in (None, "", [], {}, False, 0)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(entry) for entry in value]
    return value


def _value_text(name: str, value: Any) -> str:
    if value is None:
        return "—"
    if isinstance(value, Mapping):
        return (
            "{"
            + ", ".join(f"{clean(str(key), 60)}: {_value_text(str(key), entry)}" for key, entry in value.items())
            + "}"
        )
    if isinstance(value, list) and not any(isinstance(entry, (Mapping, list)) for entry in value):
        return clean(" ".join(mask_command([str(word) for word in value])), _SHOWN)
    return clean(mask_secret(name.removeprefix("environment ").removeprefix("label "), str(value)), _SHOWN)
