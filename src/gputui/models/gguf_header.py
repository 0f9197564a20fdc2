"""The header of a GGUF file: its key-values and its tensors.

The format (ggml-org/ggml, docs/gguf.md): magic `GGUF`, version, number of tensors, number of key-values; each key is a
string with a 64-bit length, each value a type and its data; then per tensor its name, dimensions, type and offset. The
size of a tensor follows from the block size of its type (ggml-common.h). Only the header is read.
"""

import math
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gputui.domain.text import clean
from gputui.models.header_file import BadFile, Tensor, UnknownKind, open_regular

LONGEST_HEADER = 64 * 2**20
"""Maximum bytes to read; a vocabulary of 256 000 tokens with its merges has about 15 MiB."""
MOST_KEYS = 10_000
MOST_TENSORS = 200_000
DEFAULT_ALIGNMENT = 32
LONGEST_TEXT = 65_536
"""Maximum length of names and string values; longer ones (chat templates) are skipped."""

# type: (name, elements per block, bytes per block)
BLOCKS: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9

Value = int | float | bool | str | tuple[int | float | bool, ...]


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The content of a GGUF header; `sizes` are the lengths of arrays, because string arrays are not stored."""

    values: dict[str, Value]
    sizes: dict[str, int]
    tensors: tuple[Tensor, ...]


class _Reader:
    """Reads sequentially, and at most `LONGEST_HEADER` bytes."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self.name = name
        self._remaining = LONGEST_HEADER

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return LONGEST_HEADER - self._remaining

    def bad(self, problem: str) -> BadFile:
        return BadFile(f"{self.name} {problem}", "download it again")

    def take(self, count: int) -> bytes:
        if count > self._remaining:
            raise self.bad("has a header that is too long")
        self._remaining -= count
        raw = self._file.read(count)
        if len(raw) < count:
            raise self.bad("is truncated within its header")
        return raw

    def number(self, shape: str) -> int | float | bool:
        value: int | float | bool = struct.unpack(shape, self.take(struct.calcsize(shape)))[0]
        return value

    def count(self) -> int:
        return int(self.number("<Q"))

    def text(self) -> str:
        length = self.count()
        if length > LONGEST_TEXT:
            self.take(length)
            return ""
        return clean(self.take(length).decode("utf-8", errors="replace"), 400)


def read_header(path: Path) -> GgufHeader:
    """The header of a GGUF file.

    Raises:
        BadFile: it is truncated, too long, or not a GGUF file.
        UnknownKind: its version is not 2 or 3, or it has tensors of an unknown type.
        OSError: the file cannot be read.
    """
    with open_regular(path) as file:
        reader = _Reader(file, path.name)
        if reader.take(4) != b"GGUF":
            raise reader.bad("is no GGUF file")
        version = reader.number("<I")
        if version not in (2, 3):
            raise UnknownKind(f"{path.name} is GGUF of version {version}", "a newer gputui may read it")
        tensor_count, value_count = reader.count(), reader.count()
        if tensor_count > MOST_TENSORS or value_count > MOST_KEYS:
            raise reader.bad("claims to have more tensors or keys than any model")
        values: dict[str, Value] = {}
        sizes: dict[str, int] = {}
        for _ in range(value_count):
            key = reader.text()
            value = _value(reader, int(reader.number("<I")), key, sizes)
            if value is not None:
                values[key] = value
        entries = [_tensor(reader) for _ in range(tensor_count)]
        alignment = values.get("general.alignment", DEFAULT_ALIGNMENT)
        _check_length(reader, entries, alignment if isinstance(alignment, int) else 0, os.fstat(file.fileno()).st_size)
        tensors = tuple(tensor for tensor, _ in entries)
    return GgufHeader(values, sizes, tensors)


def _check_length(reader: _Reader, tensors: Sequence[tuple[Tensor, int]], alignment: int, length: int) -> None:
    """Check that the file holds all tensors, which start after the header at a multiple of the alignment."""
    if not 1 <= alignment <= 2**20:
        raise reader.bad("has an alignment that makes no sense")
    begin = -(-reader.position // alignment) * alignment
    end = max((offset + tensor.size for tensor, offset in tensors), default=0)
    if tensors and begin + end > length:
        raise reader.bad(f"is truncated: {begin + end - length} bytes of its tensors are missing")


def _value(reader: _Reader, kind: int, key: str, sizes: dict[str, int]) -> Value | None:
    if kind == _STRING:
        return reader.text()
    if kind == _ARRAY:
        return _array(reader, key, sizes)
    shape = _SCALARS.get(kind)
    if shape is None:
        raise reader.bad(f"has a value of unknown type {kind}")
    return reader.number(shape)


def _array(reader: _Reader, key: str, sizes: dict[str, int]) -> Value | None:
    kind, length = int(reader.number("<I")), reader.count()
    sizes[key] = length
    if kind == _STRING:
        for _ in range(length):
            reader.take(reader.count())
        return None
    shape = _SCALARS.get(kind)
    if shape is None:
        raise reader.bad(f"has an array of unknown type {kind}")
    raw = reader.take(length * struct.calcsize(shape))
    if length > 4096:
        return None
    return tuple(number for (number,) in struct.iter_unpack(shape, raw))


def _tensor(reader: _Reader) -> tuple[Tensor, int]:
    name = reader.text()
    rank = int(reader.number("<I"))
    if rank > 8:
        raise reader.bad("has a tensor of too many dimensions")
    shape = [reader.count() for _ in range(rank)]
    kind = int(reader.number("<I"))
    offset = reader.count()
    block = BLOCKS.get(kind)
    elements = math.prod(shape)
    if block is None:
        raise UnknownKind(f"{reader.name} has tensors of unknown type {kind}", "a newer gputui may know it")
    if elements > 2**50:
        raise reader.bad("has a tensor larger than any memory")
    dtype, per_block, size = block
    return Tensor(name, dtype, elements, -(-elements // per_block) * size, rank), offset
