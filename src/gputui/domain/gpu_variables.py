"""Compares the GPU variables of a container with the GPUs that it requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gputui.domain.text import clean, whole_number


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Contradicting statements about a container's GPUs: `overridden` is a variable that the request overrides,
    `ignored` one that nothing reads, `hidden` one that hides GPUs from its programs, `several-requests` are requests of
    which only one counts."""

    kind: Literal["overridden", "ignored", "hidden", "several-requests"]
    text: str


def variables_against(variables: Mapping[str, str], gpus: Sequence[str], count: int | None) -> Contradiction | None:
    """The contradiction between the environment and the GPU request, if any. In a container with n GPUs, CUDA numbers
    them from 0 to n - 1, regardless of their numbers on the host."""
    number = len(gpus) if gpus and "all" not in gpus else count
    visible = variables.get("NVIDIA_VISIBLE_DEVICES")
    if visible is not None and (gpus or count is not None) and not _same_gpus(visible, gpus, count):
        request = ",".join(gpus) or ("all" if count == -1 else f"{count} of them")
        text = (
            f"NVIDIA_VISIBLE_DEVICES={clean(visible, 60)}, but the request counts: it will be GPU {clean(request, 60)}"
        )
        return Contradiction("overridden", text)
    if not gpus and not count:
        return None
    fault = cuda_fault(variables.get("CUDA_VISIBLE_DEVICES"), number)
    return None if fault is None else Contradiction("hidden", fault)


def cuda_fault(value: str | None, number: int | None, uuids: Sequence[str] = ()) -> str | None:
    """Why CUDA_VISIBLE_DEVICES hides GPUs of a container, which has `number` of them (None: unknown) with these `uuids`
    (empty: unknown). CUDA accepts indices and prefixes of UUIDs; the first invalid entry ends the list (CUDA C++
    Programming Guide, "CUDA Environment Variables")."""
    if value is None:
        return None
    places = [part.strip() for part in value.split(",")]
    excerpt = clean(value, 60)
    if places[0] in ("", "-1") or places == ["none"]:
        return f"CUDA_VISIBLE_DEVICES={excerpt} hides every GPU, but the request is for some"
    if not _is_device(places[0]):
        return f"CUDA_VISIBLE_DEVICES={excerpt} names no GPU that CUDA knows, so that none is seen"
    places = _visible_entries(places)
    numbers = [whole_number(part) for part in places]
    if number and any(index is not None and index >= number for index in numbers):
        return f"CUDA_VISIBLE_DEVICES={excerpt}, but inside the container {_numbering(number)}"
    by_uuid = [part for part, index in zip(places, numbers, strict=True) if index is None]
    if uuids and any(not any(uuid.startswith(part) for uuid in uuids) for part in by_uuid):
        return f"CUDA_VISIBLE_DEVICES={excerpt} names a GPU that the container does not have"
    return None


def too_few_visible(value: str | None, needed: int | None) -> str | None:
    """Why a program that needs `needed` GPUs sees too few of its container's GPUs."""
    if value is None or needed is None:
        return None
    visible = len(set(_visible_entries([part.strip() for part in value.split(",")])))
    if visible >= needed:
        return None
    return f"CUDA_VISIBLE_DEVICES={clean(value, 60)} shows {visible} of its GPUs, but it works on {needed}"


def _visible_entries(places: list[str]) -> list[str]:
    """The entries before the first invalid one, where CUDA stops."""
    end = next((index for index, part in enumerate(places) if not _is_device(part)), len(places))
    return places[:end]


def _is_device(entry: str) -> bool:
    return whole_number(entry, least=0) is not None or entry.upper().startswith(("GPU-", "MIG-"))


def _same_gpus(visible: str, gpus: Sequence[str], count: int | None) -> bool:
    """Whether the variable and the request may mean the same GPUs; an index and a UUID cannot be compared here."""
    names = {part.strip() for part in visible.split(",") if part.strip()}
    if names & {"none", "void"}:
        return not gpus and not count
    if "all" in names or "all" in gpus or count == -1:
        return "all" in names and ("all" in gpus or count == -1)
    if not gpus:
        return len(names) == count
    written_alike = {whole_number(name) is not None for name in (*names, *gpus)}
    return names == set(gpus) if len(written_alike) == 1 else len(names) == len(gpus)


def _numbering(number: int) -> str:
    return "its GPU is 0" if number == 1 else f"its {number} GPUs are 0 to {number - 1}"
