"""Model files of anything: they are read, or it is said in words why they cannot be."""

import json
import struct
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gputui.models.gguf_header import read_header
from gputui.models.model_config import architecture_of, read_config
from gputui.models.model_files import read_model
from gputui.models.safetensors_header import read_tensors
from tests.junk import bent, documents, maps, numbers, own_errors_only, texts, tried
from tests.models.files import gguf_text

HEADER = {
    "__metadata__": {"format": "pt"},
    "model.embed_tokens.weight": {"dtype": "BF16", "shape": [4, 4], "data_offsets": [0, 32]},
    "model.layers.0.mlp.experts.0.up_proj.weight": {"dtype": "F8_E4M3", "shape": [4, 8], "data_offsets": [32, 64]},
}
CONFIG: dict[str, Any] = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "hidden_size": 2048,
    "intermediate_size": 6144,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "num_experts": 128,
    "moe_intermediate_size": 768,
    "shared_expert_intermediate_size": 1,
    "n_shared_experts": 1,
    "kv_lora_rank": 512,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "sliding_window": 4096,
    "sliding_window_pattern": 6,
    "use_sliding_window": True,
    "max_window_layers": 28,
    "torch_dtype": "bfloat16",
    "layer_types": ["full_attention", "sliding_attention", "linear_attention"],
    "full_attention_interval": 4,
    "rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768},
    "rope_parameters": {"rope_type": "linear", "factor": 2.0},
    "first_k_dense_replace": 3,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [0],
    "attn_config": {"kv_n_heads": 8},
    "layers_block_type": ["attention", "mamba"],
    "moe_layer_freq": 1,
    "n_head": 3,
    "ffn_config": {"moe_num_experts": 4},
    "quantization_config": {
        "quant_method": "compressed-tensors",
        "weight_block_size": [128, 128],
        "group_size": 128,
        "quant_algo": "FP8",
        "config_groups": {
            "group_0": {"weights": {"num_bits": 4, "type": "int", "group_size": 32, "block_structure": [1]}}
        },
    },
    "text_config": {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_size": 64,
        "rope_scaling": {"type": "su"},
    },
    "vision_config": {"num_heads": 16, "hidden_size": 32, "num_attention_heads": 2},
}
INDEX = {"metadata": {"total_size": 64}, "weight_map": {"a": "model.safetensors", "b": "model.safetensors"}}


def safetensors(header: bytes, body: int = 64) -> bytes:
    return len(header).to_bytes(8, "little") + header + b"\0" * body


@tried(80)
@given(header=documents(HEADER), body=st.integers(0, 80))
def test_a_safetensors_header_of_junk_is_refused_in_words(tmp_path: Path, header: bytes, body: int) -> None:
    """Also where it is JSON that describes no tensors."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(header, body))
    with own_errors_only():
        read_tensors(path)
    with own_errors_only():
        read_model(path)


@tried(80)
@given(config=documents(CONFIG))
def test_a_config_of_junk_crashes_nothing(tmp_path: Path, config: bytes) -> None:
    """A figure that is none is not known."""
    path = tmp_path / "config.json"
    path.write_bytes(config)
    with own_errors_only():
        found = read_config(path)
        assert found.layers is None or found.layers > 0
        assert found.context is None or found.context > 0


@tried(80)
@given(config=(bent(CONFIG) | maps))
def test_any_values_of_a_config_make_an_architecture(config: Any) -> None:
    """Whatever stands where its figures belong."""
    with own_errors_only():
        architecture_of(config if isinstance(config, dict) else {})


@tried(80)
@given(factor=numbers | texts, kind=st.sampled_from(["linear", "yarn", "dynamic", "su"]), original=st.none() | numbers)
def test_positions_that_are_stretched_by_junk_crash_nothing(factor: Any, kind: str, original: Any) -> None:
    """Also by more than any number of tokens."""
    scaling = {"rope_type": kind, "factor": factor, "original_max_position_embeddings": original}
    with own_errors_only():
        architecture_of({**CONFIG, "text_config": {}, "rope_scaling": scaling})


@tried(50)
@given(index=documents(INDEX), config=documents(CONFIG))
def test_a_folder_of_junk_crashes_nothing(tmp_path: Path, index: bytes, config: bytes) -> None:
    """What its index names is looked for nowhere else."""
    (tmp_path / "config.json").write_bytes(config)
    (tmp_path / "model.safetensors.index.json").write_bytes(index)
    (tmp_path / "model.safetensors").write_bytes(safetensors(json.dumps(HEADER).encode()))
    with own_errors_only():
        read_model(tmp_path)


@tried(50)
@given(name=texts)
def test_an_index_that_names_files_of_junk_crashes_nothing(tmp_path: Path, name: str) -> None:
    """Whatever their names are made of."""
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with own_errors_only():
        read_model(tmp_path)


names = st.sampled_from(
    [
        f"llama.{one}"
        for one in (
            "block_count",
            "attention.head_count",
            "attention.head_count_kv",
            "embedding_length",
            "attention.key_length",
            "full_attention_interval",
            "attention.sliding_window",
            "attention.sliding_window_pattern",
            "context_length",
            "expert_count",
            "attention.kv_lora_rank",
            "rope.dimension_count",
        )
    ]
    + ["general.architecture", "general.alignment", "tokenizer.ggml.tokens"]
)
SHAPES = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
small: dict[int, list[Any]] = {
    4: [0, 1, 2, 7, 32, 2**31 - 1, 2**32 - 1],
    6: [float("nan"), float("inf"), -1.0, 0.5],
    12: [1e308, float("nan")],
}


@st.composite
def scalars(draw: st.DrawFn) -> bytes:
    """A number of any type."""
    kind = draw(st.sampled_from([*SHAPES, 4, 4, 4]))
    size = struct.calcsize(SHAPES[kind])
    if kind in small:
        return struct.pack("<I", kind) + struct.pack(SHAPES[kind], draw(st.sampled_from(small[kind])))
    return struct.pack("<I", kind) + draw(st.binary(min_size=size, max_size=size))


@st.composite
def gguf_values(draw: st.DrawFn) -> bytes:
    """A value of any type, or of none."""
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.binary(max_size=30))
    if kind <= 2:
        text = draw(st.sampled_from(["llama", "gemma2", "", "\x1b[2J", "²"])).encode() + draw(
            st.sampled_from([b"", b"\xff\0"])
        )
        return struct.pack("<IQ", 8, len(text)) + text
    if kind == 3:
        return struct.pack("<IIQ", 9, 8, 2) + gguf_text("a") + gguf_text("b")
    if kind == 4:
        inner = draw(st.sampled_from(list(SHAPES)))
        count = draw(st.integers(0, 5))
        size = struct.calcsize(SHAPES[inner]) * count
        return struct.pack("<IIQ", 9, inner, count) + draw(st.binary(min_size=size, max_size=size))
    if kind == 5:
        return struct.pack("<IIQ", 9, draw(st.integers(0, 13)), draw(st.sampled_from([0, 2**32, 2**63, 2**64 - 1])))
    return draw(scalars())


counts = st.sampled_from([0, 1, 2, 2**32, 2**63, 2**64 - 1])
tensors = st.tuples(
    st.sampled_from(["blk.0.ffn_up_exps.weight", "token_embd.weight", "", "\x1b[2J"]),
    st.lists(counts, max_size=9),
    st.integers(0, 45),
    counts,
)


def tensor(one: tuple[str, list[int], int, int]) -> bytes:
    name, shape, kind, offset = one
    return gguf_text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


@tried(100)
@given(
    described=st.lists(st.tuples(names, gguf_values()), max_size=8),
    listed=st.lists(tensors, max_size=3),
    more=st.integers(-1, 2),
    version=st.sampled_from([3, 3, 3, 2, 0, 2**32 - 1]),
    rest=st.binary(max_size=40),
)
def test_a_gguf_file_of_junk_is_refused_in_words(
    tmp_path: Path, described: list[tuple[str, bytes]], listed: list[tuple[str, list[int], int, int]], more: int,
    version: int, rest: bytes,
) -> None:  # fmt: skip
    """Whatever the types, lengths and values are that it tells of."""
    raw = b"GGUF" + struct.pack("<IQQ", version, len(listed), max(0, len(described) + more))
    raw += b"".join(gguf_text(name) + value for name, value in described)
    raw += b"".join(tensor(one) for one in listed) + rest
    path = tmp_path / "x.gguf"
    path.write_bytes(raw)
    with own_errors_only():
        read_header(path)
    with own_errors_only():
        read_model(path)


def test_a_gguf_file_that_tells_of_billions_of_layers_holds_nobody_up(tmp_path: Path) -> None:
    """Its layers are counted, and not gone through."""
    told = {"block_count": 2**31 - 1, "attention.sliding_window": 4096}
    raw = b"GGUF" + struct.pack("<IQQ", 3, 0, 1 + len(told))
    raw += gguf_text("general.architecture") + struct.pack("<I", 8) + gguf_text("gemma2")
    for key, value in told.items():
        raw += gguf_text(f"gemma2.{key}") + struct.pack("<II", 4, value)
    path = tmp_path / "x.gguf"
    path.write_bytes(raw)
    with own_errors_only(limit_s=2.0):
        read_model(path)


@tried(80)
@given(raw=st.binary(max_size=200), name=st.sampled_from(["x.gguf", "x.safetensors", "x.bin", "x-00001-of-99999.gguf"]))
def test_a_model_file_of_any_bytes_crashes_nothing(tmp_path: Path, raw: bytes, name: str) -> None:
    """Whatever its ending says."""
    path = tmp_path / name
    for head in (b"", b"GGUF\3\0\0\0"):
        path.write_bytes(head + raw)
        with own_errors_only():
            read_model(path)
    path.unlink()
