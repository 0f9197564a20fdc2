"""Experts that are spread over data-parallel ranks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.planning.reported.build import SGLANG, Told, h100, told
from tests.planning.reported.models import QWEN3_30B, QWEN3_CODER_480B_FP8, decoder, weights_gib

# 48 layers × 128 experts × 3 × 2048 × 768 × 2 bytes
EXPERTS_30B = 48 * 128 * 3 * 2048 * 768 * 2 / 2**30


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3-Coder-480B: 435.9 GiB of experts, 12.9 of the rest."""
    config = QWEN3_CODER_480B_FP8
    return decoder(tmp_path_factory.mktemp("480b") / "m", config, linear="F8_E4M3")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Qwen3-30B-A3B: 54.0 GiB of experts, 2.9 of the rest."""
    return decoder(tmp_path_factory.mktemp("30b") / "m", QWEN3_30B)


def test_experts_are_divided_by_all_ranks(tmp_path: Path, large: Path) -> None:
    """recipes#12: 62 × 160 × 3 × 6144 × 2560 / 8 = 54.5 GiB and 12.9 of the rest, 31.0 of cache for 131072 tokens, and
    the activations of 8 ranks' tokens: about 108 (481 were told)."""
    command = ["--model", "/models/q", "-dp", "8", "--enable-expert-parallel", "--max-model-len", "131072"]
    found = told(tmp_path, command, gpus=h100(8), model=large)
    assert 54.5 + 12.9 + 31.0 < found.minimum_gib < 112
    assert found.world == 8


@pytest.mark.parametrize("more", [["-dp", "8"], ["-tp", "2", "-dp", "4"]])
def test_a_proposed_size_counts_the_ranks_that_stay(tmp_path: Path, large: Path, more: list[str]) -> None:
    """With data parallelism kept, `--tensor-parallel-size 4` would be 32 GPUs; there are 8."""
    command = ["--model", "/models/q", "--enable-expert-parallel", "--max-model-len", "262144", *more]
    found = told(tmp_path, command, gpus=h100(8), model=large)
    ranks = int(more[-1])
    sizes = [int(value) for name, value in found.edits() if name == "--tensor-parallel-size" and value]
    assert all(size * ranks <= 8 for size in sizes)
    assert not found.says("on 4 gpus would fit")


def minimum(folder: Path, model: Path, *words: str, gpus: int, environment: Mapping[str, str] | None = None) -> float:
    command = ["--model", "/models/q", "--max-model-len", "8192", *words]
    return told(folder, command, gpus=h100(gpus), model=model, environment=environment).minimum_gib


@pytest.mark.parametrize(
    ("words", "gpus", "environment", "weights"),
    [
        pytest.param(["-dp", "4", "-ep"], 4, {}, EXPERTS_30B / 4 + 2.9, id="dp 4 ep"),
        pytest.param(
            ["--data-parallel-size=2", "--enable_expert_parallel"], 2, {}, EXPERTS_30B / 2 + 2.9, id="dp 2 ep"
        ),
        pytest.param(
            ["-tp", "2", "-dp", "2", "--enable-expert-parallel"], 4, {}, EXPERTS_30B / 4 + 1.45, id="tp 2 dp 2"
        ),
        # by default too the expert layers form a group of data × tensor ranks (vllm PR#20768)
        pytest.param(["-dp", "4"], 4, {}, EXPERTS_30B / 4 + 2.9, id="without expert parallelism"),
        pytest.param(["-tp", "4", "--enable-expert-parallel"], 4, {}, EXPERTS_30B / 4 + 0.7, id="tp only"),
    ],
)
def test_other_ways_to_spread_experts(
    tmp_path: Path, small: Path, words: list[str], gpus: int, environment: dict[str, str], weights: float
) -> None:
    """Beside the weights: 0.75 GiB of cache, or its part, and 0.9 to 2.5 of the rest."""
    assert weights_gib(small) == pytest.approx(EXPERTS_30B + 2.9, abs=0.2)
    found = minimum(tmp_path, small, *words, gpus=gpus, environment=environment)
    assert weights + 0.7 < found < weights + 3.5


DENSE = {key: value for key, value in QWEN3_30B.items() if "expert" not in key and key != "moe_intermediate_size"}


def test_a_dense_model_is_copied(tmp_path: Path) -> None:
    """Data parallelism alone divides nothing of a model without experts."""
    model = decoder(tmp_path / "m", DENSE)
    one, four = (minimum(tmp_path, model, *more, gpus=gpus) for more, gpus in (([], 1), (["-dp", "4"], 4)))
    assert four == pytest.approx(one, abs=0.1)


def sglang(folder: Path, model: Path, *words: str) -> Told:
    command = ["python3", "-m", "sglang.launch_server", "--model-path", "/models/q", "--context-length", "8192",
               "--mem-fraction-static", "0.9", *words]  # fmt: skip
    return told(folder, command, image=SGLANG, gpus=h100(4), model=model)


def test_attention_that_is_copied_while_experts_are_spread(tmp_path: Path, small: Path) -> None:
    """sglang `--tp 4 --dp 4 --enable-dp-attention`: each of 4 GPUs has the attention whole, with all heads of the
    cache, and a quarter of the experts: 13.5 + 2.9 and 0.75 GiB of cache."""
    spread = sglang(tmp_path, small, "--tp", "4", "--dp", "4", "--enable-dp-attention", "--ep-size", "4")
    cut = sglang(tmp_path, small, "--tp", "4", "--ep-size", "4")
    assert spread.minimum_gib - cut.minimum_gib > 0.9
    assert spread.world == 4


CONFIG: Mapping[str, Any] = QWEN3_CODER_480B_FP8


def test_the_figures_of_the_report() -> None:
    experts = (
        CONFIG["num_hidden_layers"]
        * CONFIG["num_experts"]
        * 3
        * CONFIG["hidden_size"]
        * CONFIG["moe_intermediate_size"]
    )
    assert experts / 8 / 2**30 == pytest.approx(54.5, abs=0.1)
