"""The container that asks the driver what gputui cannot: it gets all GPUs, and allocates nothing on them."""

from collections.abc import Sequence
from typing import Any

from gputui.domain.container import LABEL_PROBE, Container, ContainerSpec
from gputui.domain.errors import Refusal
from gputui.domain.injection import CDI_KIND, HostAccess
from gputui.planning.changes.injection_choice import default_choice, mechanism
from gputui.planning.given_gpus import uses_gpus


def probe_spec(access: HostAccess, image: str, arguments: Sequence[str], name: str) -> ContainerSpec:
    """The spec of a container that runs `nvidia-smi`, added by the toolkit, with these arguments.

    Raises:
        Refusal: the engine is not known to pass GPUs to containers.
    """
    choice = default_choice(access)
    if not mechanism(choice.mechanism).is_sure(access.capabilities):
        raise Refusal("whether the engine gives GPUs is not known", "see `gputui doctor`")
    # In its own PID namespace nvidia-smi lists no host process; its output is read from the log.
    host: dict[str, Any] = {"NetworkMode": "none", "PidMode": "host", "LogConfig": {"Type": "json-file"}}
    environment = ["NVIDIA_DRIVER_CAPABILITIES=utility"]
    if choice.mechanism == "nvidia":
        host["DeviceRequests"] = [{"Driver": "", "Count": -1, "Capabilities": [["gpu", "utility"]]}]
    elif choice.mechanism == "cdi":
        host["DeviceRequests"] = [{"Driver": "cdi", "DeviceIDs": [f"{CDI_KIND}=all"]}]
    else:
        host["Runtime"] = "nvidia"
        environment.append("NVIDIA_VISIBLE_DEVICES=all")
    body = {
        "Image": image,
        "Entrypoint": ["nvidia-smi"],
        "Cmd": list(arguments),
        "Env": environment,
        "Labels": {LABEL_PROBE: "1"},
        "HostConfig": host,
    }
    return ContainerSpec(name=name, body=body)


MOST_IMAGES = 3


def probe_images(containers: Sequence[Container], images: Sequence[str]) -> list[str]:
    """Local images that may work, best first: those of GPU services, because `nvidia-smi` needs what they contain
    (glibc)."""
    used = [container.image for container in containers if uses_gpus(container)]
    return list(dict.fromkeys([*used, *images]))[:MOST_IMAGES]
