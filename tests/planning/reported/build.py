"""The way from a service as people write it to what the planning says of it. Nothing else of these tests touches the
product: a Compose file is written, read, joined with the GPUs and the model's files, and looked at as the screen does.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gputui.compose.files import ComposeFiles
from gputui.compose.reading import read_project
from gputui.domain.assignment import Assignments
from gputui.domain.finding import Finding
from gputui.domain.gpu import Gpu
from gputui.domain.model import ModelFiles
from gputui.domain.service import Service
from gputui.models.model_files import read_model
from gputui.planning.findings.find_all import find_all
from gputui.planning.memory_shares import memory_of_all
from gputui.planning.needs.model_path import ModelPlace
from gputui.planning.placement.proposal import suggest
from gputui.planning.services import World, join_services, wanted_places
from tests.builders import gpu, reading

VLLM = "vllm/vllm-openai:v0.11.0"
LLAMA_CPP = "ghcr.io/ggml-org/llama.cpp:server-cuda"
SGLANG = "lmsysorg/sglang:v0.5.3"
TGI = "ghcr.io/huggingface/text-generation-inference:3.3.4"

GIB = 1024
"""MiB."""

# Codes of findings. Several may stand for one kind, so that the product can name it as it likes.
TOO_BIG = ("too-big", "sum-too-big", "foreign-memory", "fraction-too-small")
WIDTHS = ("quantization-group", "quantization-block", "kernel-tiles", "marlin-tiles")
TYPES = ("dtype", "quantization", "kv-dtype", "kv-cache-dtype", "capability")
TOO_LONG = ("context-too-long",)


Gpus = Sequence[Gpu]


def cards(count: int, name: str, mib: int, capability: str) -> list[Gpu]:
    """Equal GPUs."""
    return [gpu(index, total=mib, name=name, compute_capability=capability) for index in range(count)]


def h100(count: int = 1) -> list[Gpu]:
    return cards(count, "NVIDIA H100 80GB HBM3", 81559, "9.0")


def a100(count: int = 1, mib: int = 81920) -> list[Gpu]:
    return cards(count, "NVIDIA A100", mib, "8.0")


def rtx3090(count: int = 1) -> list[Gpu]:
    return cards(count, "NVIDIA GeForce RTX 3090", 24576, "8.6")


def rtx4090(count: int = 1) -> list[Gpu]:
    return cards(count, "NVIDIA GeForce RTX 4090", 24564, "8.9")


def v100(count: int = 1) -> list[Gpu]:
    return cards(count, "Tesla V100-SXM2-32GB", 32768, "7.0")


def t4(count: int = 1) -> list[Gpu]:
    return cards(count, "Tesla T4", 15360, "7.5")


@dataclass(frozen=True)
class Told:
    """What the planning says of one service."""

    service: Service
    findings: tuple[Finding, ...]
    parts_mib: Mapping[int, int | None]
    unplaced: tuple[str, ...]

    @property
    def minimum_mib(self) -> int | None:
        return self.service.requirement.minimum_mib

    @property
    def minimum_gib(self) -> float:
        """What it needs at least on each GPU, where that has to be known."""
        assert self.minimum_mib is not None, "what it needs is unknown"
        return self.minimum_mib / GIB

    @property
    def claim_mib(self) -> int | None:
        return self.service.requirement.claim_mib

    @property
    def source(self) -> str:
        return self.service.requirement.source

    @property
    def model(self) -> str | None:
        return self.service.model

    @property
    def backend(self) -> str:
        return self.service.backend

    @property
    def world(self) -> int | None:
        """How many GPUs it takes, None where that is whatever it is given."""
        return self.service.serving.world

    @property
    def is_unknown(self) -> bool:
        return self.minimum_mib is None or self.source == "unknown"

    def codes(self, *severities: str) -> set[str]:
        return {one.code for one in self.findings if not severities or one.severity in severities}

    @property
    def errors(self) -> set[str]:
        """The codes of what stops an apply."""
        return self.codes("error", "refusal")

    @property
    def warned(self) -> set[str]:
        return self.codes("error", "refusal", "warning")

    def of(self, codes: Collection[str]) -> list[Finding]:
        return [one for one in self.findings if one.code in codes]

    def edits(self) -> list[tuple[str, str | None]]:
        """All changes of arguments that findings propose."""
        return [(edit.argument, edit.value) for one in self.findings for edit in one.edits]

    def says(self, *words: str) -> bool:
        """Whether one finding has all these words (any case)."""
        texts = [f"{one.text} {one.fix}".lower() for one in self.findings]
        return any(all(word.lower() in text for word in words) for text in texts)

    def does_not_count(self, word: str) -> bool:
        """Whether it is said that what this word stands for is not in the figure: by a finding, or with the figure."""
        noted = " ".join(str(one) for one in getattr(self.service.requirement, "not_counted", ()) or ())
        return self.says("not counted", word) or word.lower() in noted.lower()

    def is_told_as_guess(self) -> bool:
        """The figure is none, or is called what it is."""
        return self.is_unknown or self.source in ("rule of thumb", "declared")


def told(
    folder: Path,
    command: Sequence[str] | str | None,
    *,
    gpus: Sequence[Gpu],
    image: str = VLLM,
    model: Path | None = None,
    at: str = "/models/q",
    more: Mapping[str, Path] | None = None,
    environment: Mapping[str, str] | None = None,
    entrypoint: Sequence[str] | str | None = None,
    reserved_mib: int = 0,
) -> Told:
    """What is said of a service on these GPUs, whose `model` on the host is `at` this path in the container (`more` are
    further ones)."""
    mounts = {at: model} if model else {}
    mounts |= dict(more or {})
    body: dict[str, Any] = {
        "image": image,
        "shm_size": "16gb",
        "volumes": [f"{path}:{target}" for target, path in mounts.items()],
        "deploy": {
            "resources": {
                "reservations": {
                    "devices": [
                        {"driver": "nvidia", "device_ids": [str(one.index) for one in gpus], "capabilities": ["gpu"]}
                    ]
                }
            }
        },
    }
    if command is not None:
        body["command"] = command if isinstance(command, str) else [str(word) for word in command]
    if entrypoint is not None:
        body["entrypoint"] = entrypoint if isinstance(entrypoint, str) else list(entrypoint)
    if environment:
        body["environment"] = dict(environment)
    return told_of(folder, yaml.safe_dump({"services": {"llm": body}}), gpus=gpus, reserved_mib=reserved_mib)


def told_of(folder: Path, text: str, *, gpus: Sequence[Gpu], reserved_mib: int = 0) -> Told:
    """The same of a Compose file as text; its service is called `llm`."""
    path = folder / "compose.yaml"
    path.write_text(text)
    project = read_project(ComposeFiles((path,)))
    readings = [reading(one, reserved=reserved_mib) for one in gpus]

    def joined(files: Mapping[ModelPlace, ModelFiles]) -> tuple[Service, ...]:
        world = World(host="host", gpus=gpus, readings=readings, containers=(), project=project, files=files)
        return join_services(world, Assignments()).services

    places = wanted_places(joined({}), {})
    services = joined({place: read_model(Path(place.paths[0])) for place in places})
    (service,) = services
    memory = memory_of_all(readings, services)
    parts = {
        one.index: next((share.mib for share in memory[at].shares if share.name == service.name), None)
        for at, one in enumerate(gpus)
    }
    return Told(
        service=service,
        findings=find_all(services, gpus, readings, memory),
        parts_mib=parts,
        unplaced=tuple(one.name for one in suggest("vram", services, readings).unplaced),
    )


def longest_edit(told: Told, flag: str) -> int | None:
    """The largest number that a finding proposes for this argument."""
    numbers = [int(value) for name, value in told.edits() if name == flag and value and re.fullmatch(r"\d+", value)]
    return max(numbers, default=None)
