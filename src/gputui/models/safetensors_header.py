"""The header of a safetensors file: its tensors, with type and size in bytes.

The format (huggingface/safetensors, "Format"): 8 bytes, little-endian, the length N of the header; N bytes of JSON,
`{"name": {"dtype", "shape", "data_offsets": [begin, end]}, "__metadata__": {...}}`; then the tensors without gaps.
Only the header is read.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gputui.domain.text import clean
from gputui.models.header_file import BadFile, Tensor, open_regular

LONGEST_HEADER = 25_000_000
"""Bytes; the limit of huggingface_hub (SAFETENSORS_MAX_HEADER_LENGTH)."""

BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64,
}  # fmt: skip

_Size = Annotated[int, Field(ge=0, le=2**62)]


class _Entry(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", defer_build=True)

    dtype: str
    shape: list[_Size]
    data_offsets: tuple[_Size, _Size] = Field(strict=False)


_HEADER = TypeAdapter(dict[str, _Entry | dict[str, object]])


def read_tensors(path: Path) -> tuple[Tensor, ...]:
    """The tensors of a safetensors file.

    Raises:
        BadFile: the header is truncated, too long, invalid JSON, or does not match the file.
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        length = os.fstat(file.fileno()).st_size
        head = file.read(8)
        if len(head) < 8:
            raise BadFile(f"{path.name} is truncated: it has {length} bytes", "download it again")
        header_length = int.from_bytes(head, "little")
        if header_length > LONGEST_HEADER:
            raise BadFile(f"{path.name} says that its header has {header_length} bytes", "download it again")
        if header_length + 8 > length:
            raise BadFile(f"{path.name} is truncated within its header", "download it again")
        raw = file.read(header_length)
    return _tensors(path.name, raw, length - 8 - header_length)


def _tensors(name: str, raw: bytes, data_length: int) -> tuple[Tensor, ...]:
    try:
        entries = _HEADER.validate_json(raw)
    except (ValidationError, RecursionError):
        raise BadFile(f"{name} has no safetensors header", "download it again") from None
    tensors = []
    spans = []
    for key, entry in entries.items():
        if not isinstance(entry, _Entry):
            if key == "__metadata__":
                continue
            raise BadFile(f"{name}: tensor {clean(key, 60)} is not described", "download it again")
        begin, end = entry.data_offsets
        elements = math.prod(entry.shape)
        bits = BITS.get(entry.dtype)
        if not begin <= end or (bits is not None and (elements * bits + 7) // 8 != end - begin):
            raise BadFile(f"{name}: the offsets of tensor {clean(key, 60)} are wrong", "download it again")
        spans.append((begin, end))
        tensors.append(Tensor(clean(key, 200), clean(entry.dtype, 20), elements, end - begin, len(entry.shape)))
    _check_spans(name, spans, data_length)
    return tuple(tensors)


def _check_spans(name: str, spans: Sequence[tuple[int, int]], data_length: int) -> None:
    """Check that the tensors are contiguous and fit into the file."""
    place = 0
    for begin, end in sorted(spans):
        if begin != place:
            raise BadFile(f"{name}: its tensors overlap or leave holes", "download it again")
        place = end
    if place > data_length:
        raise BadFile(
            f"{name} is truncated: {place - data_length} bytes of its tensors are missing", "download it again"
        )
