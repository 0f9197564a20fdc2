"""Which backend a service runs, and in which version."""

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules

from gputui.planning import backends
from gputui.planning.backends.backend import Backend, Version
from gputui.planning.backends.elastic import GENERIC, PYTORCH


def _all_backends() -> tuple[Backend, ...]:
    names = [module.name for module in iter_modules(backends.__path__) if module.name != "registry"]
    modules = [import_module(f"{backends.__name__}.{name}") for name in names]
    values = {id(value): value for module in modules for value in vars(module).values() if isinstance(value, Backend)}
    return tuple(sorted(values.values(), key=lambda backend: (backend.order, backend.name)))


BACKENDS = _all_backends()
"""Every backend, each from its own file in this package."""

_BY_NAME = {backend.name: backend for backend in BACKENDS}


def named(name: str) -> Backend:
    """The backend of this name; generic if unknown."""
    return _BY_NAME.get(name, GENERIC)


def is_official(backend: str, image: str) -> bool:
    """Whether an image without a command starts its server without options. Always true of backends whose options do
    not decide the number of GPUs."""
    return not named(backend).world_from_options or _OFFICIAL.search(image.lower()) is not None


_OFFICIAL = re.compile("|".join(backend.official_images for backend in BACKENDS if backend.official_images))
_IMAGES = tuple((backend.name, backend.images) for backend in BACKENDS if backend.images)
_BESIDE = re.compile(
    r"exporter|gateway|proxy|dashboard|metrics|benchmark|webui|client|operator|(?<!text-embeddings-)router"
)
"""Programs named after an engine that are not one."""


@lru_cache(maxsize=512)
def backend_by_image(image: str) -> str | None:
    """The backend that the image's name indicates; None if it indicates none. The tag is ignored, and only the end of a
    long path counts; `pytorch` is a common base image."""
    path = image.lower().partition("@")[0]
    name = "/".join(path.split("/")[-2:])
    name = name.rpartition(":")[0] or name if ":" in name.rpartition("/")[2] else name
    last = name.rpartition("/")[2]
    if _BESIDE.search(last):
        return None
    for text in (last, name):
        for backend, pattern in _IMAGES:
            if re.search(rf"(?<![a-z])(?:{pattern})(?![a-z])", text):
                return None if backend == "pytorch" else backend
    return None


def backend_of(image: str, words: Sequence[str] = ()) -> str:
    """The backend that the image, else the program in the command, indicates; else `generic`."""
    by_image = backend_by_image(image)
    if by_image is not None:
        return by_image
    # Only the program itself counts: a path or a model name may contain the name of another engine.
    programs = [word for word in words[:12] if not word.startswith("-") and not re.search(r"[/.]\w+/", word)]
    text = " ".join(programs).lower()
    by_command = next((backend.name for backend in BACKENDS if any(mark in text for mark in backend.marks)), None)
    return by_command or ("pytorch" if any(mark in image.lower() for mark in PYTORCH.marks) else "generic")


NEWEST: Version = (9999, 0, 0)
_TAG = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?")


def version_of(image: str) -> Version | None:
    """`vllm/vllm-openai:v0.11.0` is 0.11.0, `latest` and `nightly` the newest; None for a digest, another tag, or
    another image."""
    last = image.partition("@")[0].rpartition("/")[2]
    name, colon, tag = last.partition(":")
    if name != "vllm-openai":
        return None  # other images have their own version numbers
    if not colon:
        return None if "@" in image else NEWEST
    if tag.startswith(("latest", "nightly")):
        return NEWEST
    match = _TAG.match(tag)
    return None if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))
