"""The container that asks the driver what gputui cannot ask itself: it gets all GPUs, and holds nothing on them."""

from collections.abc import Sequence
from typing import Any

from gputui.domain.capabilities import CDI_KIND, HostAccess
from gputui.domain.container import LABEL_PROBE, Container, ContainerSpec
from gputui.domain.errors import Refusal
from gputui.planning.mechanism import default_choice, mechanism


def probe_spec(access: HostAccess, image: str, arguments: Sequence[str], name: str) -> ContainerSpec:
    """The spec of a container that runs `nvidia-smi`, which the toolkit puts into it, with these arguments.

    Raises:
        Refusal: the engine is not known to give GPUs.
    """
    choice = default_choice(access)
    if not mechanism(choice.mechanism).is_sure(access.capabilities):
        raise Refusal("whether the engine gives GPUs is not known", "see `gputui doctor`")
    host: dict[str, Any] = {"NetworkMode": "none"}
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


def probe_image(containers: Sequence[Container], images: Sequence[str]) -> str | None:
    """An image that is there: best one that a GPU service runs, for `nvidia-smi` needs what those have (glibc)."""
    used = [one.image for one in containers if one.gpu_request is not None]
    return next(iter([*used, *images]), None)
