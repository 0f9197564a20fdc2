"""Which backend a service runs."""

import re
from collections.abc import Sequence

from gputui.planning.backends.backend import Backend
from gputui.planning.backends.elastic import GENERIC, PYTORCH
from gputui.planning.backends.llama_cpp import LLAMA_CPP
from gputui.planning.backends.sglang import SGLANG
from gputui.planning.backends.tensorrt_llm import TENSORRT_LLM
from gputui.planning.backends.tgi import TGI
from gputui.planning.backends.vllm import VLLM

BACKENDS = (VLLM, SGLANG, TENSORRT_LLM, TGI, LLAMA_CPP, PYTORCH, GENERIC)

_BY_NAME = {backend.name: backend for backend in BACKENDS}


def named(name: str) -> Backend:
    """The backend of that name; an unknown one is generic."""
    return _BY_NAME.get(name, GENERIC)


def told_by_image(image: str) -> str | None:
    """The backend that the image's name stands for, None where it stands for none (`pytorch` is a base of many)."""
    name = image.lower().partition("@")[0]
    found = next((one.name for one in BACKENDS if any(mark in name for mark in one.marks)), None)
    return None if found == "pytorch" else found


def backend_of(image: str, words: Sequence[str] = ()) -> str:
    """The backend that the image, else the program in the command, stands for; else `generic`."""
    by_image = told_by_image(image)
    if by_image is not None:
        return by_image
    # Only what is run counts: a path or a model's name may hold the name of another engine.
    programs = [word for word in words[:12] if not word.startswith("-") and not re.search(r"[/.]\w+/", word)]
    text = " ".join(programs).lower()
    found = next((one.name for one in BACKENDS if any(mark in text for mark in one.marks)), None)
    return found or ("pytorch" if any(mark in image.lower() for mark in PYTORCH.marks) else "generic")
