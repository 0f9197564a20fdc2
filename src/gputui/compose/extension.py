"""`x-gputui`: the part of a Compose file that only gputui reads."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gputui.compose.document import Place
from gputui.domain.injection import MechanismName
from gputui.domain.text import clean

BackendName = Literal[
    "vllm", "sglang", "tensorrt_llm", "tgi", "llama_cpp", "ollama", "tei", "lmdeploy", "pytorch", "generic"
]


class Extension(BaseModel):
    """`x-gputui` of a service."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    backend: BackendName | None = None
    model: str | None = None
    vram: str | int | float | None = None
    priority: int | None = None
    isolate: bool | None = None
    gpus: list[str | int] | str | int | None = None
    fallback: Literal["never", "ask", "auto"] | None = None
    mechanism: MechanismName | None = None
    budget_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class ProjectExtension(BaseModel):
    """`x-gputui` at the top of a file."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    path_aliases: dict[str, str] = {}


E = TypeVar("E", bound=BaseModel)


def extension_of(entry: Mapping[str, Any], shape: type[E], place: Place) -> E:
    """`x-gputui` of a service or of a file.

    Raises:
        UsageError: it has an unknown key or an invalid value.
    """
    raw = entry.get("x-gputui")
    extension_place = place.of(entry, "x-gputui")
    if raw is None:
        return shape()
    if not isinstance(raw, dict):
        raise extension_place.refuses("a mapping is expected", "see docs/compose.md")
    try:
        return shape.model_validate(dict(raw))
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0]) if first["loc"] else ""
        known_keys = ", ".join(shape.model_fields)
        if first["type"] == "extra_forbidden":
            raise extension_place.of(raw, key).refuses("not a key of x-gputui", f"known are {known_keys}") from None
        raise extension_place.of(raw, key).refuses(clean(str(first["msg"]), 120), "see docs/compose.md") from None
