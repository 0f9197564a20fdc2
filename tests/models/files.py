"""Model files made byte by byte as their formats say; the tensors' bytes are holes, so that a file may be huge."""

import json
import struct
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

Shapes = list[tuple[str, tuple[int, ...]]]

BITS = {"F32": 32, "BF16": 16, "F16": 16, "F8_E4M3": 8, "I8": 8, "U8": 8, "I32": 32}


def write_safetensors(path: Path, tensors: Iterable[tuple[str, str, tuple[int, ...]]]) -> None:
    """8 bytes with the header's length, little-endian; the JSON; then the tensors."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    place = 0
    for name, dtype, shape in tensors:
        size = prod(shape) * BITS[dtype] // 8
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [place, place + size]}
        place += size
    header = json.dumps(entries).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + place)


def gguf_text(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def gguf_value(value: object) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + gguf_text(value)
        case [str(), *_]:
            texts = [str(one) for one in value]
            return struct.pack("<IIQ", 9, 8, len(texts)) + b"".join(gguf_text(one) for one in texts)
        case list():
            return struct.pack("<IIQ", 9, 4, len(value)) + struct.pack(f"<{len(value)}I", *value)
    raise TypeError(value)


def write_gguf(path: Path, values: Mapping[str, object], tensors: Iterable[tuple[str, int, tuple[int, ...]]]) -> None:
    """`GGUF`, version 3, the counts, the key-values, then name, dimensions, type and offset of each tensor."""
    tensors = list(tensors)
    raw = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    raw += b"".join(gguf_text(key) + gguf_value(value) for key, value in values.items())
    place = 0
    for name, kind, shape in tensors:
        raw += gguf_text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
        raw += struct.pack("<IQ", kind, place)
        elements, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        place += -(-(-(-prod(shape) // elements) * size) // 32) * 32
    with path.open("wb") as file:
        file.write(raw)
        file.truncate(-(-len(raw) // 32) * 32 + place)


def decoder(
    *,
    layers: int,
    hidden: int,
    intermediate: int,
    heads: int,
    kv_heads: int,
    vocabulary: int,
    head_dim: int | None = None,
    biases: bool = False,
    qk_norms: bool = False,
    experts: int = 0,
) -> Shapes:
    """The tensors of a Llama, Mistral, Mixtral or Qwen model by the names that its authors give them."""
    width = head_dim or hidden // heads
    shapes: Shapes = [("model.embed_tokens.weight", (vocabulary, hidden))]
    for number in range(layers):
        at = f"model.layers.{number}."
        for name, rows in (("q", heads * width), ("k", kv_heads * width), ("v", kv_heads * width)):
            shapes.append((f"{at}self_attn.{name}_proj.weight", (rows, hidden)))
            if biases:
                shapes.append((f"{at}self_attn.{name}_proj.bias", (rows,)))
        shapes.append((f"{at}self_attn.o_proj.weight", (hidden, heads * width)))
        if qk_norms:
            shapes += [(f"{at}self_attn.q_norm.weight", (width,)), (f"{at}self_attn.k_norm.weight", (width,))]
        mlps = [f"{at}mlp."] if not experts else [f"{at}mlp.experts.{one}." for one in range(experts)]
        if experts:
            shapes.append((f"{at}mlp.gate.weight", (experts, hidden)))
        for mlp in mlps:
            shapes += [
                (f"{mlp}gate_proj.weight", (intermediate, hidden)),
                (f"{mlp}up_proj.weight", (intermediate, hidden)),
            ]
            shapes.append((f"{mlp}down_proj.weight", (hidden, intermediate)))
        shapes += [(f"{at}input_layernorm.weight", (hidden,)), (f"{at}post_attention_layernorm.weight", (hidden,))]
    return [*shapes, ("model.norm.weight", (hidden,)), ("lm_head.weight", (vocabulary, hidden))]


def write_model(
    folder: Path, config: Mapping[str, object], tensors: Iterable[tuple[str, str, tuple[int, ...]]]
) -> Path:
    """A directory in the layout of Hugging Face, in two shards with their index."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}}}))
    tensors = list(tensors)
    half = len(tensors) // 2
    places: dict[str, str] = {}
    for number, part in enumerate((tensors[:half], tensors[half:]), start=1):
        name = f"model-{number:05}-of-00002.safetensors"
        write_safetensors(folder / name, part)
        places |= {one[0]: name for one in part}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder
