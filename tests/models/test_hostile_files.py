"""Damaged and hostile model files: one clear line, bounded memory, never a crash."""

import json
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gputui.domain.model import Architecture
from gputui.models.gguf_header import read_header
from gputui.models.header_file import BadFile
from gputui.models.model_config import architecture_of
from gputui.models.model_files import read_model
from gputui.models.safetensors_header import read_tensors
from tests.models.files import gguf_text, gguf_value, write_gguf

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MIB = 2**20


def safetensors(header: bytes, body: int = 0, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + b"\0" * body


def entry(begin: int, end: int, shape: list[object], dtype: str = "U8") -> bytes:
    return json.dumps({"t": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}).encode()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "truncated"),
        (b"\x00\x01", "truncated"),
        (safetensors(b"{}", length=2**63), "says that its header has"),
        (safetensors(b"{}", length=1000), "truncated within its header"),
        (safetensors(b"not json"), "no safetensors header"),
        (safetensors(b"[" * 100_000), "no safetensors header"),
        (safetensors(b'{"t": 5}'), "no safetensors header"),
        (safetensors(b'{"t": {"dtype": "U8"}}', 9), "is not described"),
        (safetensors(entry(0, 100, [100]), body=10), "90 bytes of its tensors are missing"),
        (safetensors(entry(5, 10, [5]), body=10), "overlap or leave holes"),
        (safetensors(entry(10, 0, [5]), body=10), "offsets of tensor t are wrong"),
        (safetensors(entry(0, 10, [2**70]), body=10), "is not described"),
        (safetensors(entry(0, 10, [-5]), body=10), "is not described"),
        (safetensors(entry(0, 10, [float("nan")]), body=10), "is not described"),
        (safetensors(entry(0, 10, [3]), body=10), "offsets of tensor t are wrong"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_safetensors_file_is_told_in_one_line(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    with pytest.raises(BadFile, match=words) as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)
    files = read_model(tmp_path)
    assert files.problems
    assert files.weights_bytes is None


def gguf(tensors: int, values: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, values) + rest


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "truncated"),
        (b"GGML", "no GGUF"),
        (gguf(2**60, 0), "more tensors or keys"),
        (gguf(0, 2**60), "more tensors or keys"),
        (gguf(0, 1), "truncated"),
        (gguf(0, 1, struct.pack("<Q", 2**62)), "too long"),
        (gguf(0, 1, gguf_text("a") + struct.pack("<I", 99)), "unknown type"),
        (gguf(0, 1, gguf_text("a") + struct.pack("<IIQ", 9, 4, 2**61)), "too long"),
        (gguf(0, 1, gguf_text("a") + struct.pack("<IIQ", 9, 8, 2**61)), "truncated"),
        (gguf(0, 1, gguf_text("a") + struct.pack("<IIQ", 9, 9, 1)), "unknown type"),
        (gguf(1, 0, gguf_text("t") + struct.pack("<I", 1000)), "too many dimensions"),
        (gguf(1, 0, gguf_text("t") + struct.pack("<IQQIQ", 2, 2**40, 2**40, 0, 0)), "larger than any memory"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_gguf_file_is_told_in_one_line(tmp_path: Path, raw: bytes, words: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(raw)
    with pytest.raises(BadFile, match=words):
        read_header(path)
    assert read_model(path).problems


@pytest.mark.parametrize(
    "raw",
    [gguf(0, 0, version=9), gguf(1, 0, gguf_text("t") + struct.pack("<IQIQ", 1, 5, 777, 0))],
    ids=["version", "type"],
)
def test_a_gguf_of_a_kind_that_is_not_known_is_no_damage(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(raw)
    files = read_model(path)
    assert files.problems == ()
    assert files.unread
    assert files.weights_bytes is None


def test_a_claim_of_a_huge_header_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(b"{}", length=2**40))
    other = tmp_path / "x.gguf"
    other.write_bytes(gguf(0, 1, gguf_text("a") + struct.pack("<IQ", 8, 2**40)))
    tracemalloc.start()
    read_model(path)
    read_model(other)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * MIB


def test_names_from_a_file_carry_no_escape_sequence(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    write_gguf(path, {"general.architecture": "\x1b]52;c;aGk=\x07llama"}, [("t\x1b[2J", 24, (5,))])
    files = read_model(path)
    assert files.architecture is not None
    assert "\x1b" not in f"{files}"


@FUZZ
@given(raw=st.binary(max_size=400))
def test_any_bytes_as_safetensors(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(raw)
    files = read_model(tmp_path)
    assert bool(files.problems) is (files.weights_bytes is None or not files.has_weights)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@FUZZ
@given(header=st.dictionaries(st.text(max_size=8), JSON, max_size=5))
def test_any_json_as_a_safetensors_header(tmp_path: Path, header: dict[str, object]) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(safetensors(json.dumps(header).encode(), body=64))
    files = read_model(tmp_path)
    assert files.weights_bytes is None or (files.problems == () and files.weights_bytes <= 64)


@FUZZ
@given(data=st.data())
def test_any_damage_to_a_gguf_file(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "x.gguf"
    values = {"general.architecture": "llama", "llama.block_count": 4, "tokenizer.ggml.tokens": ["a", "b"]}
    write_gguf(path, values, [("t", 24, (100,)), ("u", 0, (3, 3))])
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    files = read_model(path)
    assert files.weights_bytes is None or not files.problems


KEYS = st.sampled_from(
    [
        "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim", "hidden_size", "sliding_window",
        "layer_types", "text_config", "vision_config", "quantization_config", "torch_dtype", "kv_lora_rank",
        "architectures", "max_position_embeddings", "num_experts", "sliding_window_pattern",
    ]
)  # fmt: skip


@FUZZ
@given(config=st.dictionaries(KEYS, JSON, max_size=8))
def test_any_configuration_gives_an_architecture(config: dict[str, object]) -> None:
    model = architecture_of(config)
    assert isinstance(model, Architecture)
    assert model.layers is None or model.layers > 0
    assert 0 <= model.window_layers <= (model.layers or 0)


def test_gguf_values_of_all_kinds_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    values: dict[str, object] = {"a": 7, "b": True, "c": 0.5, "d": "text", "e": [1, 2, 3], "f": ["x", "y"]}
    assert gguf_value(7)
    write_gguf(path, values, [])
    header = read_header(path)
    assert header.values == {"a": 7, "b": True, "c": 0.5, "d": "text", "e": (1, 2, 3)}
    assert header.sizes == {"e": 3, "f": 2}
