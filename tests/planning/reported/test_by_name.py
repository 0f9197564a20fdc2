"""Models of which nothing but the name is known: what they need is their weights over the GPUs and a little beside."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gputui.domain.gpu import Gpu
from tests.planning.reported.build import SGLANG, TGI, VLLM, a100, cards, h100, told

LLAMA_70B = "meta-llama/Llama-3.3-70B-Instruct"
A100_40 = cards(4, "NVIDIA A100-SXM4-40GB", 40960, "8.0")


@pytest.mark.parametrize(
    ("image", "command"),
    [
        (VLLM, ["--model", LLAMA_70B, "--tensor-parallel-size"]),
        (SGLANG, ["python3", "-m", "sglang.launch_server", "--model-path", LLAMA_70B, "--tp"]),
        (TGI, ["--model-id", LLAMA_70B, "--num-shard"]),
    ],
)
@pytest.mark.parametrize(("tensor", "gpus"), [(4, A100_40), (2, a100(2)), (2, h100(2))])
def test_what_runs_for_everybody_is_not_warned_of(
    tmp_path: Path, image: str, command: list[str], tensor: int, gpus: Sequence[Gpu]
) -> None:
    """130.4 GiB of weights in 16 bits: 65.2 on each of two GPUs of 80 GB, 32.6 on each of four of 40 GB."""
    found = told(tmp_path, [*command, str(tensor)], image=image, gpus=gpus)
    assert found.source == "rule of thumb"
    assert found.minimum_gib == pytest.approx(130.4 / tensor + 2.5, abs=0.6)
    assert not found.of(("too-big", "fraction-too-small"))


def test_what_cannot_fit_is_warned_of(tmp_path: Path) -> None:
    found = told(tmp_path, ["--model", LLAMA_70B, "--tensor-parallel-size", "2"], gpus=A100_40[:2])
    assert found.of(("fraction-too-small",))


@pytest.mark.parametrize(("gpus", "tensor"), [(h100(4), "2"), (A100_40, "4")])
def test_the_fix_names_the_size_with_which_it_fits(tmp_path: Path, gpus: list[Gpu], tensor: str) -> None:
    found = told(tmp_path, ["--model", LLAMA_70B], gpus=gpus)
    assert ("--tensor-parallel-size", tensor) in found.edits()
    assert found.says(f"--tensor-parallel-size {tensor}", "by the size in its name")


def test_a_pipeline_that_stays_is_counted_in_the_fix(tmp_path: Path) -> None:
    """On four GPUs of 40 GB, two stages of two halves."""
    command = ["--model", LLAMA_70B, "--pipeline-parallel-size", "2"]
    assert ("--tensor-parallel-size", "2") in told(tmp_path, command, gpus=A100_40).edits()


def test_a_name_that_tells_no_size_gets_no_size_to_fix_it(tmp_path: Path) -> None:
    found = told(tmp_path, ["--model", "somebody/finetune-final"], gpus=h100())
    assert found.is_told_as_guess()
    assert not found.edits()


@pytest.mark.parametrize("options", [["--data-parallel-size", "2"], ["-dp", "2", "--pipeline-parallel-size", "1"]])
def test_each_copy_of_a_model_needs_all_its_weights(tmp_path: Path, options: list[str]) -> None:
    """136 GiB of Qwen2.5-72B on each of two GPUs of 80 GB."""
    found = told(tmp_path, ["--model", "Qwen/Qwen2.5-72B-Instruct", *options], gpus=h100(2))
    assert found.minimum_gib == pytest.approx(134.1 + 2.5, abs=0.6)
    assert found.of(("fraction-too-small",))


def test_experts_are_spread_over_the_copies(tmp_path: Path) -> None:
    """Qwen3-235B-A22B-FP8 over eight GPUs by data parallelism: 219 GiB in eight parts."""
    command = ["--model", "Qwen/Qwen3-235B-A22B-FP8", "-dp", "8", "--enable-expert-parallel"]
    found = told(tmp_path, command, gpus=h100(8))
    assert found.minimum_gib == pytest.approx(218.9 / 8 + 2.5, abs=0.6)
    assert not found.of(("fraction-too-small",))


def test_the_fix_is_named_beside_a_fraction_too(tmp_path: Path) -> None:
    command = ["--model", "Qwen/Qwen2.5-72B-Instruct", "--gpu-memory-utilization", "0.9"]
    assert ("--tensor-parallel-size", "2") in told(tmp_path, command, gpus=h100(4)).edits()


def test_a_model_that_is_published_in_four_bits_is_taken_for_that(tmp_path: Path) -> None:
    """openai/gpt-oss-120b is MXFP4, about 61 GiB, and made for one GPU of 80 GB."""
    found = told(tmp_path, ["--model", "openai/gpt-oss-120b"], gpus=h100())
    assert not found.of(("too-big", "fraction-too-small"))


def test_a_name_that_tells_what_is_active_tells_no_size(tmp_path: Path) -> None:
    """Llama-4-Scout-17B-16E has 109 billion parameters."""
    assert told(tmp_path, ["--model", "meta-llama/Llama-4-Scout-17B-16E-Instruct"], gpus=h100()).minimum_mib is None
