"""Shapes of single keys of a service."""

from collections.abc import Mapping
from typing import Any

from gputui.compose.document import Located, Place, places
from gputui.compose.gpu_requests import reserved_devices
from gputui.compose.mounts import absolute_path
from gputui.compose.scalars import command_words, shown, to_int
from gputui.compose.shapes import (
    anything,
    boolean,
    duration,
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
    whole,
)
from gputui.domain.text import clean


def rollout(value: Any, place: Place) -> Located:
    """How an update or a rollback is rolled out."""
    made: Located = ROLLOUT_FIELDS(value, place)
    for key in [key for key, inner in made.items() if inner in ("0s", "", 0) and key != "parallelism"]:
        del made[key]
    return made


def command(value: Any, place: Place) -> list[str]:
    """A command as its words."""
    if isinstance(value, str):
        return command_words(value, place)
    if not isinstance(value, list):
        raise place.refuses("a text or a list of words is expected", "write a list of words")
    return [text(word, place) for word in value]


def build(value: Any, place: Place) -> Any:
    """How an image is built; gputui builds none."""
    entry = Located(place.file, {"context": value}) if isinstance(value, str) else mapping(value, place)
    made = Located(entry.file, dict(entry))
    context = str(entry.get("context") or "")
    if isinstance(value, str) and not value:
        made.pop("context")
    elif "://" not in context and not context.startswith(("git@", "github.com/", "service:")):
        made["context"] = absolute_path(context or ".", place)
    for key in ("args", "labels"):
        if entry.get(key) is not None:
            made[key] = pairs(entry[key], place.of(entry, key))
    return made


DEPENDENCY = record(
    {
        "condition": one_of("service_started", "service_healthy", "service_completed_successfully"),
        "restart": boolean,
        "required": boolean,
    },
    required=("condition",),
)


def depends_on(value: Any, place: Place) -> Located:
    """Each service that is waited for, with its condition."""
    if isinstance(value, list):
        value = Located(place.file, {text(one, place): {"condition": "service_started"} for one in value})
        return Located(place.file, {key: {**one, "required": True} for key, one in value.items()})
    made = Located(place.file)
    for key, inner, at in places(mapping(value, place), place):
        if not isinstance(inner, Mapping):
            raise place.refuses(f"{clean(key, 60)}: a mapping is expected", "write {condition: service_started}")
        entry = {"required": True, **DEPENDENCY(inner, at)}
        made[key] = {name: one for name, one in entry.items() if name != "restart" or one}
        made.take_place(value, key)
    return made


def env_file(value: Any, place: Place) -> list[dict[str, Any]]:
    """Each file as a mapping, with its whole path."""
    listed = value if isinstance(value, list) else [value]
    made = []
    for one in listed:
        entry = dict(ENV_FILE(one, place)) if isinstance(one, dict) else {"path": text(one, place)}
        made.append({"required": True, **entry, "path": absolute_path(entry["path"], place)})
    return list({one["path"]: one for one in made}.values())


ENV_FILE = record({"path": text, "required": boolean, "format": text}, required=("path",))


def extra_hosts(value: Any, place: Place) -> list[str]:
    """`name=address` lines, sorted."""
    lines: list[str] = []
    if isinstance(value, list):
        for one in value:
            written = text(one, place)
            sign = "=" if "=" in written else ":"
            name, _, addresses = written.partition(sign)
            lines += [f"{name.strip()}={bare(address)}" for address in addresses.split(",")]
    else:
        for name, inner, at in places(mapping(value, place), place):
            listed = inner if isinstance(inner, list) else [inner]
            lines += [f"{name}={bare(text(one, at))}" for one in listed]
    return sorted(lines)


def bare(address: str) -> str:
    """An address without the brackets of IPv6."""
    address = address.strip()
    return address[1:-1] if address.startswith("[") and address.endswith("]") else address


TEST_KINDS = ("NONE", "CMD", "CMD-SHELL")


def test(value: Any, place: Place) -> list[str]:
    """The words of a health check."""
    if isinstance(value, str):
        return ["CMD-SHELL", value]
    words = texts(value, place)
    if words and words[0] not in TEST_KINDS:
        raise place.refuses(f"the first word is {shown(words[0])}", f"begin with {', '.join(TEST_KINDS)}")
    return words


HEALTHCHECK = record(
    {
        "test": test,
        "interval": duration,
        "timeout": duration,
        "start_period": duration,
        "start_interval": duration,
        "retries": whole(0),
        "disable": boolean,
    }
)


def healthcheck(value: Any, place: Place) -> Located:
    """A health check; one that disables nothing says nothing of it."""
    made: Located = HEALTHCHECK(value, place)
    if not made.get("disable"):
        made.pop("disable", None)
    if not made.get("test"):
        made.pop("test", None)
    return made


ROLLOUT_FIELDS = record(
    {
        "parallelism": whole(0),
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
    made: Located = LOGGING_FIELDS(value, place)
    if made.get("driver") == "":
        del made["driver"]
    return made


def ulimits(value: Any, place: Place) -> Located:
    """Limits by name, as a number or as soft and hard."""
    made = Located(place.file)
    for name, inner, at in places(mapping(value, place), place):
        # A limit of 0 is printed as nothing.
        if isinstance(inner, dict):
            made[name] = {key: limit for key, limit in ULIMIT(inner, at).items() if limit}
        else:
            made[name] = to_int(inner, at, least=-1) or {}
        made.take_place(value, name)
    return made


ULIMIT = record({"soft": whole(-1), "hard": whole(-1)}, required=("soft", "hard"))


LIMITS = record({"cpus": number, "memory": lambda value, place: size(text(value, place), place), "pids": whole()})


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
        "replicas": whole(0),
        "labels": text_pairs,
        "resources": record({"limits": LIMITS, "reservations": RESERVATIONS}),
        "restart_policy": record(
            {"condition": text, "delay": duration, "max_attempts": whole(0), "window": duration},
        ),
        "placement": record(
            {"constraints": texts, "preferences": anything, "max_replicas_per_node": whole(0)},
        ),
        "update_config": rollout,
        "rollback_config": rollout,
    }
)


def deploy(value: Any, place: Place) -> Located:
    """Limits, reservations and the number of containers."""
    made: Located = DEPLOY(value, place)
    made.setdefault("resources", Located(place.file))
    made.setdefault("placement", Located(place.file))
    return made


def listed(value: Any, place: Place) -> list[str]:
    """A list of texts that may be one text, without what is empty."""
    listed = [value] if isinstance(value, str) else texts(value, place)
    return unrepeated([one for one in listed if one])


def label_file(value: Any, place: Place) -> list[str]:
    """The whole paths of files with labels."""
    return [absolute_path(one, place) for one in listed(value, place)]


def tmpfs(value: Any, place: Place) -> list[str]:
    """Places in memory, with their options."""
    return unrepeated([value] if isinstance(value, str) else texts(value, place))


def rate(value: Any, place: Place) -> Any:
    """Bytes a second, as a size."""
    return None if value is None else size(value, place)


THROTTLE = sequence(record({"path": text, "rate": rate}, required=("path", "rate")))


BLKIO = record(
    {
        "weight": whole(0),
        "weight_device": sequence(record({"path": text, "weight": whole(0)})),
        **{f"device_{kind}_{unit}": THROTTLE for kind in ("read", "write") for unit in ("bps", "iops")},
    }
)


def blkio(value: Any, place: Place) -> Located:
    """Limits of block devices, with the keys that Compose prints."""
    made: Located = BLKIO(value, place)
    for key, listed in made.items():
        if isinstance(listed, list):
            made[key] = [{name.capitalize(): inner for name, inner in one.items()} for one in listed]
    return made


HOOK = record({"command": command, "user": text, "privileged": boolean, "working_dir": text, "environment": pairs})


def group(value: Any, place: Place) -> str:
    """A group's name or number, as text."""
    found = scalar_text(value, place)
    if not found:
        raise place.refuses("a group is a name or a number")
    return found


def exposed(value: Any, place: Place) -> str:
    """A port, as text."""
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        return str(value)
    raise place.refuses(f"“{shown(value)}” is no port", "write it like 8000")
