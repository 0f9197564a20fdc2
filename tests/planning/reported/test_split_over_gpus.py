"""How llama.cpp spreads a model over GPUs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.builders import gpu
from tests.planning.reported.build import LLAMA_CPP, TOO_BIG, Gpus, Told, cards, told
from tests.planning.reported.models import Q8_0, layers_gguf

UNEVEN = [gpu(0, total=24576, name="NVIDIA GeForce RTX 3090", compute_capability="8.6"),
          gpu(1, total=12288, name="NVIDIA GeForce RTX 3060", compute_capability="8.6")]  # fmt: skip
TWO = cards(2, "NVIDIA GeForce RTX 3090", 24576, "8.6")

FORTY = {
    "block_count": 40, "embedding_length": 5120, "attention.head_count": 40, "attention.head_count_kv": 8,
    "attention.key_length": 128, "context_length": 131072,
}  # fmt: skip
"""40 layers × 2 × 8 × 128 × 2 bytes = 160 KiB of cache a token."""


def llama(
    folder: Path,
    *options: str,
    gib: float,
    gpus: Gpus,
    values: Mapping[str, Any] = FORTY,
    shares: Sequence[float] = (),
    environment: Mapping[str, str] | None = None,
) -> Told:
    layers_gguf(folder / "m" / "q.gguf", "llama", values, gib=gib, kind=Q8_0, shares=shares)
    command = ["-m", "/m/q.gguf", "-ngl", "99", *options]
    return told(folder, command, image=LLAMA_CPP, gpus=gpus, more={"/m": folder / "m"}, environment=environment)


def parts(found: Told) -> list[float]:
    """GiB on each GPU."""
    return [(mib or 0) / 1024 for mib in found.parts_mib.values()]


# --- one GPU of several -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        # llama.cpp#14719
        pytest.param(["-sm", "none", "-mg", "1"], {}, id="-mg"),
        pytest.param(["--split-mode=none", "--main-gpu=1"], {}, id="--main-gpu"),
        pytest.param([], {"LLAMA_ARG_SPLIT_MODE": "none", "LLAMA_ARG_MAIN_GPU": "1"}, id="variables"),
        pytest.param(["--device", "CUDA1"], {}, id="--device"),
        pytest.param(["-dev", "CUDA1", "-sm", "none"], {}, id="-dev"),
    ],
)
def test_the_main_gpu_is_the_one_in_use(tmp_path: Path, options: list[str], environment: dict[str, str]) -> None:
    """`--main-gpu` is "the GPU to use for the model (with split-mode = none)": GPU 0 idles, GPU 1 does not."""
    found = llama(tmp_path, "-c", "8192", *options, gib=10, gpus=TWO, environment=environment)
    (idle,) = [one for one in found.findings if one.code == "idle-gpus"]
    assert idle.gpu == TWO[0].uuid
    assert "take 1 away" not in idle.fix
    assert parts(found)[1] == pytest.approx(10 + 1.25 + 0.95, abs=0.3)
    assert parts(found)[0] < 1


def test_without_a_main_gpu_it_is_the_first(tmp_path: Path) -> None:
    found = llama(tmp_path, "-c", "8192", "-sm", "none", gib=10, gpus=TWO)
    (idle,) = [one for one in found.findings if one.code == "idle-gpus"]
    assert idle.gpu == TWO[1].uuid


# --- several ----------------------------------------------------------------------------------------------------------


def test_without_a_split_free_memory_decides(tmp_path: Path) -> None:
    """26 GiB with 2 of cache (13107 tokens × 160 KiB) on 24 + 12 GB: 28 × 2 / 3 and 28 / 3, with 0.95 beside each: 19.6
    and 10.3, which fit (llama.cpp, `llama_model::load_tensors`: "default split, use free memory"). Layers go whole: 28
    and 12 of them."""
    found = llama(tmp_path, "-c", "13107", gib=26, gpus=UNEVEN)
    assert parts(found) == pytest.approx([19.6, 10.3], abs=1.1)
    assert not found.warned & set(TOO_BIG)


def test_free_memory_of_three(tmp_path: Path) -> None:
    """40 GiB on 24 + 24 + 12 GB: 16, 16 and 8."""
    three = [*UNEVEN, gpu(2, total=24576, name="NVIDIA GeForce RTX 3090", compute_capability="8.6")]
    found = llama(tmp_path, "-c", "4096", gib=39.4, gpus=three)
    assert parts(found) == pytest.approx([16.9, 8.9, 16.9], abs=1.3)
    assert not found.warned & set(TOO_BIG)


def test_what_is_too_much_for_both_is_too_big(tmp_path: Path) -> None:
    found = llama(tmp_path, "-c", "13107", gib=38, gpus=UNEVEN)
    assert found.warned & set(TOO_BIG)


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        pytest.param(["-ts", "3,1"], {}, id="-ts"),
        pytest.param(["--tensor-split", "75/25"], {}, id="--tensor-split"),
        pytest.param([], {"LLAMA_ARG_TENSOR_SPLIT": "3,1"}, id="a variable"),
    ],
)
def test_a_split_that_is_told_decides(tmp_path: Path, options: list[str], environment: dict[str, str]) -> None:
    """20.6 GiB (16384 tokens × 160 KiB = 2.5): 15.5 and 5.2, with 0.95 beside each."""
    found = llama(tmp_path, "-c", "16384", *options, gib=18.1, gpus=TWO, environment=environment)
    assert parts(found) == pytest.approx([16.4, 6.1], abs=0.7)


def test_equal_parts_of_layers_that_are_not_equal(tmp_path: Path) -> None:
    """4 layers and the output: the layers 0, 1 and 2 (of 0.2 + 4 + 4 GiB) are below half of 5, layer 3 (4 GiB) is not.
    Layers go whole, the first GPU has twice as much."""
    values = {**FORTY, "block_count": 4}
    found = llama(tmp_path, "-c", "4096", "-ts", "1,1", gib=12.2, gpus=TWO, values=values, shares=(0.2, 4, 4, 4))
    assert parts(found) == pytest.approx([8.2 + 1, 4 + 1], abs=0.4)


def test_an_odd_number_of_layers(tmp_path: Path) -> None:
    """5 layers of 3 GiB and the output: layers 0, 1, 2 on the first GPU, 3, 4 and the output on the second."""
    values = {**FORTY, "block_count": 5}
    found = llama(tmp_path, "-c", "4096", "-ts", "1,1", gib=15, gpus=TWO, values=values)
    assert parts(found) == pytest.approx([9 + 1, 6 + 1], abs=0.4)


def test_one_gpu_has_all(tmp_path: Path) -> None:
    found = llama(tmp_path, "-c", "13107", gib=20, gpus=TWO[:1])
    assert found.minimum_gib == pytest.approx(20 + 2 + 0.95, abs=0.2)


def test_layers_that_stay_on_the_cpu(tmp_path: Path) -> None:
    """20 of 40 layers of 26 GiB on one GPU: 13, and half of the cache."""
    found = llama(tmp_path, "-c", "13107", "-ngl", "20", gib=26, gpus=TWO[:1])
    assert found.minimum_gib == pytest.approx(13 + 1 + 0.95, abs=1.0)
