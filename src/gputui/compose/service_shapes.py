"""Shapes of single keys of a service."""

from collections.abc import Mapping
from typing import Any

from gputui.compose.document import Located, Place, places
from gputui.compose.gpu_requests import reserved_devices
from gputui.compose.mounts import absolute_path
from gputui.compose.scalars import command_words, excerpt, to_int
from gputui.compose.shapes import (
    anything,
    boolean,
    duration,
    integer,
    mapping,
    number,
    one_of,
    pairs,
    record,
    scalar_text,
    sequence,
    size,
    text,
    text_pairs,
    texts,
    unrepeated,
)
from gputui.domain.text import clean


def rollout(value: Any, place: Place) -> Located:
    """The settings of `update_config` and `rollback_config`."""
    settings: Located = ROLLOUT_FIELDS(value, place)
    for key in [key for key, inner in settings.items() if inner in ("0s", "", 0) and key != "parallelism"]:
        del settings[key]
    return settings


def command(value: Any, place: Place) -> list[str]:
    """A command as a list of words."""
    if isinstance(value, str):
        return command_words(value, place)
    if not isinstance(value, list):
        raise place.refuses("a text or a list of words is expected", "write a list of words")
    return [text(word, place) for word in value]


def build(value: Any, place: Place) -> Any:
    """How an image is built; gputui itself does not build images."""
    entry = Located(place.file, {"context": value}) if isinstance(value, str) else mapping(value, place)
    settings = Located(entry.file, dict(entry))
    context = str(entry.get("context") or "")
    if isinstance(value, str) and not value:
        settings.pop("context")
    elif "://" not in context and not context.startswith(("git@", "github.com/", "service:")):
        settings["context"] = absolute_path(context or ".", place)
    for key in ("args", "labels"):
        if entry.get(key) is not None:
            settings[key] = pairs(entry[key], place.of(entry, key))
    return settings


DEPENDENCY = record(
    {
        "condition": one_of("service_started", "service_healthy", "service_completed_successfully"),
        "restart": boolean,
        "required": boolean,
    },
    required=("condition",),
)


def depends_on(value: Any, place: Place) -> Located:
    """Each dependency with its condition."""
    if isinstance(value, list):
        value = Located(place.file, {text(name, place): {"condition": "service_started"} for name in value})
        return Located(place.file, {key: {**settings, "required": True} for key, settings in value.items()})
    dependencies = Located(place.file)
    for key, inner, entry_place in places(mapping(value, place), place):
        if not isinstance(inner, Mapping):
            raise place.refuses(f"{clean(key, 60)}: a mapping is expected", "write {condition: service_started}")
        entry = {"required": True, **DEPENDENCY(inner, entry_place)}
        dependencies[key] = {name: setting for name, setting in entry.items() if name != "restart" or setting}
        dependencies.take_place(value, key)
    return dependencies


def env_file(value: Any, place: Place) -> list[dict[str, Any]]:
    """Each file as a mapping, with its absolute path."""
    text_list = value if isinstance(value, list) else [value]
    entries = []
    for file in text_list:
        entry = dict(ENV_FILE(file, place)) if isinstance(file, dict) else {"path": text(file, place)}
        entries.append({"required": True, **entry, "path": absolute_path(entry["path"], place)})
    return list({entry["path"]: entry for entry in entries}.values())


ENV_FILE = record({"path": text, "required": boolean, "format": text}, required=("path",))


def extra_hosts(value: Any, place: Place) -> list[str]:
    """`name=address` lines, sorted."""
    lines: list[str] = []
    if isinstance(value, list):
        for raw_host in value:
            host = text(raw_host, place)
            sign = "=" if "=" in host else ":"
            name, _, addresses = host.partition(sign)
            lines += [f"{name.strip()}={bare(address)}" for address in addresses.split(",")]
    else:
        for name, inner, name_place in places(mapping(value, place), place):
            text_list = inner if isinstance(inner, list) else [inner]
            lines += [f"{name}={bare(text(address, name_place))}" for address in text_list]
    return sorted(lines)


def bare(address: str) -> str:
    """An address without the brackets of IPv6."""
    address = address.strip()
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


TEST_KINDS = ("NONE", "CMD", "CMD-SHELL")


def test(value: Any, place: Place) -> list[str]:
    """The words of a health check command."""
    if isinstance(value, str):
        return ["CMD-SHELL", value]
    words = texts(value, place)
    if words and words[0] not in TEST_KINDS:
        raise place.refuses(f"the first word is {excerpt(words[0])}", f"begin with {', '.join(TEST_KINDS)}")
    return words


HEALTHCHECK = record(
    {
        "test": test,
        "interval": duration,
        "timeout": duration,
        "start_period": duration,
        "start_interval": duration,
        "retries": integer(0),
        "disable": boolean,
    }
)


def healthcheck(value: Any, place: Place) -> Located:
    """A health check; `disable` is omitted unless true."""
    check: Located = HEALTHCHECK(value, place)
    if not check.get("disable"):
        check.pop("disable", None)
    if not check.get("test"):
        check.pop("test", None)
    return check


ROLLOUT_FIELDS = record(
    {
        "parallelism": integer(0),
        "delay": duration,
        "failure_action": text,
        "monitor": duration,
        "max_failure_ratio": number,
        "order": text,
    }
)


LOGGING_FIELDS = record({"driver": text, "options": text_pairs})


def logging(value: Any, place: Place) -> Located:
    """A log driver and its options."""
    config: Located = LOGGING_FIELDS(value, place)
    if config.get("driver") == "":
        del config["driver"]
    return config


def ulimits(value: Any, place: Place) -> Located:
    """Limits by name, as a number or as soft and hard limits."""
    limits = Located(place.file)
    for name, inner, limit_place in places(mapping(value, place), place):
        # Compose omits a limit of 0.
        if isinstance(inner, dict):
            limits[name] = {key: limit for key, limit in ULIMIT(inner, limit_place).items() if limit}
        else:
            limits[name] = to_int(inner, limit_place, least=-1) or {}
        limits.take_place(value, name)
    return limits


ULIMIT = record({"soft": integer(-1), "hard": integer(-1)}, required=("soft", "hard"))


LIMITS = record({"cpus": number, "memory": lambda value, place: size(text(value, place), place), "pids": integer()})


RESERVATIONS = record(
    {
        "cpus": number,
        "memory": lambda value, place: size(text(value, place), place),
        "devices": reserved_devices,
        "generic_resources": anything,
    }
)


DEPLOY = record(
    {
        "mode": text,
        "endpoint_mode": text,
        "replicas": integer(0),
        "labels": text_pairs,
        "resources": record({"limits": LIMITS, "reservations": RESERVATIONS}),
        "restart_policy": record(
            {"condition": text, "delay": duration, "max_attempts": integer(0), "window": duration},
        ),
        "placement": record(
            {"constraints": texts, "preferences": anything, "max_replicas_per_node": integer(0)},
        ),
        "update_config": rollout,
        "rollback_config": rollout,
    }
)


def deploy(value: Any, place: Place) -> Located:
    """Limits, reservations and the number of containers."""
    settings: Located = DEPLOY(value, place)
    settings.setdefault("resources", Located(place.file))
    settings.setdefault("placement", Located(place.file))
    return settings


def text_list(value: Any, place: Place) -> list[str]:
    """A list of strings, or a single string, without empty ones."""
    entries = [value] if isinstance(value, str) else texts(value, place)
    return unrepeated([entry for entry in entries if entry])


def label_file(value: Any, place: Place) -> list[str]:
    """The absolute paths of label files."""
    return [absolute_path(path, place) for path in text_list(value, place)]


def tmpfs(value: Any, place: Place) -> list[str]:
    """The tmpfs mounts, with their options."""
    return unrepeated([value] if isinstance(value, str) else texts(value, place))


def rate(value: Any, place: Place) -> Any:
    """Bytes per second, as a size."""
    return None if value is None else size(value, place)


THROTTLE = sequence(record({"path": text, "rate": rate}, required=("path", "rate")))


BLKIO = record(
    {
        "weight": integer(0),
        "weight_device": sequence(record({"path": text, "weight": integer(0)})),
        **{f"device_{kind}_{unit}": THROTTLE for kind in ("read", "write") for unit in ("bps", "iops")},
    }
)


def blkio(value: Any, place: Place) -> Located:
    """Block I/O limits, with the keys that Compose prints."""
    limits: Located = BLKIO(value, place)
    for key, text_list in limits.items():
        if isinstance(text_list, list):
            limits[key] = [{name.capitalize(): inner for name, inner in device.items()} for device in text_list]
    return limits


HOOK = record({"command": command, "user": text, "privileged": boolean, "working_dir": text, "environment": pairs})


def group(value: Any, place: Place) -> str:
    """The name or number of a group, as a string."""
    name = scalar_text(value, place)
    if not name:
        raise place.refuses("a group is a name or a number")
    return name


def exposed(value: Any, place: Place) -> str:
    """A port, as a string."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise place.refuses(f"“{excerpt(value)}” is no port", "write it like 8000")
