"""Model directories as they are found: whole, incomplete, damaged."""

import json
import os
from pathlib import Path

import gguf
import numpy as np
import pytest
from safetensors.numpy import save_file

from gputui.models.gguf_header import read_header
from gputui.models.model_config import architecture_of
from gputui.models.model_files import read_model
from gputui.models.safetensors_header import read_tensors
from tests.models.files import write_gguf, write_safetensors

SMALL = [("model.embed_tokens.weight", "BF16", (10, 4)), ("model.layers.0.q.weight", "F32", (4, 4))]


def whole_model(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text('{"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 4}')
    (folder / "tokenizer.json").write_text('{"model": {"vocab": {"a": 1}}}')
    write_safetensors(folder / "model.safetensors", SMALL)
    return folder


def test_a_file_that_the_safetensors_package_wrote(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray] = {
        "a": np.zeros((3, 5), np.float16),
        "b": np.ones((7,), np.float32),
        "c": np.zeros((2, 2), np.int8),
    }
    save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "np"})
    found = {one.name: (one.dtype, one.elements, one.size) for one in read_tensors(tmp_path / "x.safetensors")}
    assert found == {"a": ("F16", 15, 30), "b": ("F32", 7, 28), "c": ("I8", 4, 4)}


def test_a_file_that_the_gguf_package_wrote(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_embedding_length(64)
    writer.add_context_length(2048)
    writer.add_token_list(["a", "b", "c"])
    writer.add_tensor("token_embd.weight", np.zeros((3, 64), np.float16))
    quantized = gguf.quants.quantize(np.ones((64, 64), np.float32), gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("blk.0.attn_q.weight", quantized, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    files = read_model(tmp_path / "x.gguf")
    assert files.problems == ()
    assert files.weights_bytes == 3 * 64 * 2 + 64 * 64 * 34 // 32
    model = files.architecture
    assert model is not None
    assert (model.layers, model.heads, model.kv_heads, model.head_dim, model.context) == (2, 4, 2, 16, 2048)
    assert files.has_tokenizer


def test_every_block_size_is_that_of_the_gguf_package() -> None:
    from gputui.models.gguf_header import BLOCKS

    for kind, (elements, size) in gguf.GGML_QUANT_SIZES.items():
        if int(kind) in BLOCKS:
            assert BLOCKS[int(kind)][1:] == (elements, size), kind.name
            assert BLOCKS[int(kind)][0] == kind.name


def test_a_whole_model(tmp_path: Path) -> None:
    files = read_model(whole_model(tmp_path / "m"))
    assert files.problems == ()
    assert (files.weights_bytes, files.embedding_bytes, files.has_tokenizer) == (80 + 64, 80, True)
    assert files.bytes_by_dtype == {"BF16": 80, "F32": 64}


def test_split_gguf_files_are_added_up(tmp_path: Path) -> None:
    for number in (1, 2):
        write_gguf(tmp_path / f"m-{number:05}-of-00002.gguf", {"general.architecture": "llama"}, [("t", 24, (100,))])
    assert read_model(tmp_path / "m-00001-of-00002.gguf").weights_bytes == 200
    assert read_model(tmp_path).weights_bytes == 200


def test_a_missing_part_of_a_split_gguf_is_told(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m-00001-of-00002.gguf", {}, [("t", 24, (100,))])
    files = read_model(tmp_path / "m-00001-of-00002.gguf")
    assert files.problems == ("m-00002-of-00002.gguf is missing",)
    assert files.weights_bytes is None


def test_a_gguf_that_is_cut_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    write_gguf(path, {}, [("t", 24, (10_000,))])
    with path.open("r+b") as file:
        file.truncate(3000)
    (problem,) = read_model(path).problems
    assert "is truncated: 7" in problem


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    os.mkfifo(tmp_path / "config.json")
    assert read_model(tmp_path).problems == (
        "config.json is not a regular file",
        "model.safetensors is not a regular file",
    )


def test_a_missing_shard_is_told(tmp_path: Path) -> None:
    folder = whole_model(tmp_path / "m")
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    places = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    (problem,) = read_model(folder).problems
    assert problem == "1 of 2 weight files are missing, the first is model-00002-of-00002.safetensors"


def test_an_index_cannot_lead_out_of_the_model(tmp_path: Path) -> None:
    folder = whole_model(tmp_path / "m")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))
    (problem,) = read_model(folder).problems
    assert "outside of the model" in problem


def test_a_tokenizer_that_is_an_empty_object_is_none(tmp_path: Path) -> None:
    """Some tools leave `{}` where a file was missing; the engine then fails with "TypeError: not a string"."""
    folder = whole_model(tmp_path / "m")
    (folder / "tokenizer.json").write_text("{}")
    assert read_model(folder).has_tokenizer is False


def test_a_config_without_the_keys_leaves_them_unknown(tmp_path: Path) -> None:
    folder = whole_model(tmp_path / "m")
    (folder / "config.json").write_text('{"num_hidden_layers": "many", "num_attention_heads": -3, "hidden_size": null}')
    files = read_model(folder)
    assert files.problems == ()
    model = files.architecture
    assert model is not None
    assert (model.layers, model.heads, model.hidden, model.head_dim) == (None, None, None, None)
    assert files.weights_bytes == 144


def test_the_text_part_of_a_vision_model_decides() -> None:
    model = architecture_of(
        {
            "architectures": ["Qwen2_5_VLForConditionalGeneration"],
            "text_config": {"num_hidden_layers": 80, "num_attention_heads": 64, "hidden_size": 8192},
            "vision_config": {"num_heads": 16, "num_hidden_layers": 32},
        }
    )
    assert (model.layers, model.heads, model.vision_heads) == (80, 64, 16)


@pytest.mark.parametrize(
    ("config", "windowed"),
    [
        ({"sliding_window": 4096, "model_type": "mistral"}, 32),
        ({"sliding_window": 4096}, 0),
        ({"sliding_window": 1024, "model_type": "gemma3_text"}, 27),
        ({"sliding_window": 4096, "use_sliding_window": False}, 0),
        ({"sliding_window": 4096, "sliding_window_pattern": 4}, 24),
        ({"sliding_window": 4096, "model_type": "gemma2"}, 16),
        ({"sliding_window": None}, 0),
    ],
)
def test_which_layers_have_a_window(config: dict[str, object], windowed: int) -> None:
    assert architecture_of({"num_hidden_layers": 32, **config}).window_layers == windowed


def test_linear_attention_keeps_no_cache() -> None:
    kinds = ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 12
    assert architecture_of({"num_hidden_layers": 48, "layer_types": kinds}).attention_layers == 12


def test_only_headers_are_read(tmp_path: Path) -> None:
    """A file of a hundred gigabytes, of which only the first bytes exist."""
    write_safetensors(tmp_path / "model.safetensors", [("a", "BF16", (50_000, 1_000_000))])
    assert read_model(tmp_path).weights_bytes == 100_000_000_000


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    assert read_model(tmp_path / "none").problems == (f"{tmp_path}/none does not exist",)


def test_a_gguf_header_is_read_only_as_far_as_it_may_be_long(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    write_gguf(path, {"a": "b"}, [])
    assert read_header(path).values == {"a": "b"}
