"""Parts of a model that are kept in the host's memory."""

from pathlib import Path

import pytest

from tests.planning.reported.build import LLAMA_CPP, SGLANG, Told, cards, rtx3090, rtx4090, told
from tests.planning.reported.models import DEEPSEEK_V2_LITE, LLAMA3_8B, Q4_K, Q8_0, decoder, layers_gguf

AIR = {
    "block_count": 46, "embedding_length": 4096, "attention.head_count": 96, "attention.head_count_kv": 8,
    "attention.key_length": 128, "feed_forward_length": 10944, "context_length": 131072, "expert_count": 128,
}  # fmt: skip
"""As GLM-4.5-Air: 46 layers × 2 × 8 × 128 × 2 bytes = 184 KiB of cache a token, 5.75 GiB for 32768."""


def llama(folder: Path, *options: str, gpus: int = 2, environment: dict[str, str] | None = None) -> Told:
    """117 GiB, 95 % of them experts: 111.15, 5.85 of the rest."""
    path = folder / "m" / "q.gguf"
    if not path.exists():
        layers_gguf(path, "glm4moe", AIR, gib=117, experts=0.95, kind=Q8_0)
    command = ["-m", "/m/q.gguf", "-ngl", "99", *options]
    return told(
        folder, command, image=LLAMA_CPP, gpus=rtx3090(gpus), more={"/m": folder / "m"}, environment=environment
    )


@pytest.mark.parametrize(
    ("options", "environment"),
    [
        # llama.cpp#15136
        pytest.param(["--cpu-moe"], {}, id="--cpu-moe"),
        pytest.param(["-cmoe"], {}, id="-cmoe"),
        pytest.param(["--n-cpu-moe", "46"], {}, id="--n-cpu-moe, all"),
        pytest.param(["-ncmoe", "99"], {}, id="-ncmoe, more than all"),
        pytest.param(["-ot", ".ffn_.*_exps.=CPU"], {}, id="-ot"),
        pytest.param(
            ["--override-tensor", r"blk\.\d+\.ffn_(gate|up|down)_exps\.weight=CPU"], {}, id="--override-tensor"
        ),
        pytest.param(["-ot", "exps=CPU"], {}, id="-ot, short"),
        pytest.param(["-ot", r"\.ffn_gate_exps\.=CPU,\.ffn_up_exps\.=CPU,\.ffn_down_exps\.=CPU"], {}, id="-ot, a list"),
        pytest.param([], {"LLAMA_ARG_CPU_MOE": "1"}, id="LLAMA_ARG_CPU_MOE"),
        pytest.param([], {"LLAMA_ARG_N_CPU_MOE": "46"}, id="LLAMA_ARG_N_CPU_MOE"),
        pytest.param([], {"LLAMA_ARG_OVERRIDE_TENSOR": "exps=CPU"}, id="LLAMA_ARG_OVERRIDE_TENSOR"),
    ],
)
def test_experts_on_the_cpu_take_no_gpu_memory(tmp_path: Path, options: list[str], environment: dict[str, str]) -> None:
    """(5.85 + 5.75) / 2 = 5.8 GiB, a buffer and a context: about 7 on each GPU."""
    found = llama(tmp_path, "-c", "32768", *options, environment=environment)
    assert found.minimum_gib == pytest.approx(6.9, abs=0.6)
    assert found.unplaced == ()
    assert not found.warned & {"too-big", "sum-too-big"}


def test_the_experts_of_some_layers_on_the_cpu(tmp_path: Path) -> None:
    """40 of 46: 6 / 46 × 111.15 = 14.5 GiB of experts stay, with 5.85 and 8192 tokens × 184 KiB = 1.44."""
    found = llama(tmp_path, "-c", "8192", "--n-cpu-moe", "40", gpus=1)
    assert found.minimum_gib == pytest.approx(14.5 + 5.85 + 1.44 + 0.95, abs=0.6)


def test_the_experts_of_named_layers_on_the_cpu(tmp_path: Path) -> None:
    """Layers 6 to 45 by a pattern: the same."""
    pattern = r"blk\.([6-9]|[1-4][0-9])\.ffn_.*_exps\.=CPU"
    found = llama(tmp_path, "-c", "8192", "-ot", pattern, gpus=1)
    assert found.minimum_gib == pytest.approx(14.5 + 5.85 + 1.44 + 0.95, abs=0.6)


def test_the_first_layers_are_those_of_the_first_gpu(tmp_path: Path) -> None:
    """llama.cpp#15136, #15263: with 23 of 46 the experts that stay are all on the second GPU: 55.6 GiB."""
    found = llama(tmp_path, "-c", "8192", "--n-cpu-moe", "23")
    assert found.minimum_gib > 55
    assert "too-big" in found.warned


def test_without_it_everything_is_on_the_gpus(tmp_path: Path) -> None:
    """(117 + 5.75) / 2 = 61.4 GiB, or 24 of 46 layers of it, and about 1 beside: too much, and no place for it."""
    found = llama(tmp_path, "-c", "32768")
    assert 61 < found.minimum_gib < 66
    assert found.unplaced == ("llm",)


def test_a_pattern_for_another_gpu_is_no_saving(tmp_path: Path) -> None:
    """What goes to CUDA1 is on a GPU: only the CPU's buffers take nothing."""
    found = llama(tmp_path, "-c", "8192", "-ot", r"blk\.[0-9]\.ffn_.*_exps\.=CUDA1")
    assert found.is_unknown or found.minimum_gib > 30


@pytest.mark.parametrize("options", [["--no-kv-offload"], ["-nkvo"]])
def test_a_cache_on_the_cpu_takes_no_gpu_memory(tmp_path: Path, options: list[str]) -> None:
    """A Llama-3-8B of 4.6 GiB with 16 GiB of cache for 131072 tokens, on 12 GB (tools/server/README.md)."""
    values = {"block_count": 32, "embedding_length": 4096, "attention.head_count": 32, "attention.head_count_kv": 8,
              "context_length": 131072}  # fmt: skip
    layers_gguf(tmp_path / "m" / "q.gguf", "llama", values, gib=4.6, kind=Q4_K)
    found = told(tmp_path, ["-m", "/m/q.gguf", "-c", "131072", *options], image=LLAMA_CPP,
                 gpus=cards(1, "NVIDIA GeForce RTX 3060", 12288, "8.6"), more={"/m": tmp_path / "m"})  # fmt: skip
    assert found.minimum_gib < 8
    by_rows = told(tmp_path, ["-m", "/m/q.gguf", "-c", "131072", "-sm", "row", *options], image=LLAMA_CPP,
                   gpus=cards(2, "NVIDIA GeForce RTX 3060", 12288, "8.6"), more={"/m": tmp_path / "m"})  # fmt: skip
    assert by_rows.minimum_gib < 6


# --- vLLM and SGLang --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        ["--model", "/models/q", "--max-model-len", "32768", "--cpu-offload-gb", "14"],
        ["--model", "/models/q", "--max-model-len", "32768", "--cpu_offload_gb=14.0"],
    ],
)
def test_gigabytes_that_vllm_keeps_on_the_cpu(tmp_path: Path, command: list[str]) -> None:
    """vllm#15871: DeepSeek-V2-Lite has 29.3 GiB of weights and ran in 22 GB with 14 of them on the CPU."""
    model = decoder(tmp_path / "m", DEEPSEEK_V2_LITE)
    found = told(tmp_path, command, gpus=rtx4090(), model=model)
    without = told(tmp_path, command[:4], gpus=rtx4090(), model=model)
    assert without.minimum_gib - found.minimum_gib == pytest.approx(14, abs=0.3)
    assert found.minimum_gib < 22


def test_gigabytes_on_the_cpu_are_for_each_gpu(tmp_path: Path) -> None:
    """ "per GPU" (vllm/config/cache.py, `cpu_offload_gb`): 29.3 / 2 = 14.6, of which 8 are on the CPU."""
    model = decoder(tmp_path / "m", DEEPSEEK_V2_LITE)
    found, without = (
        told(
            tmp_path,
            ["--model", "/models/q", "-tp", "2", "--max-model-len", "32768", *more],
            gpus=rtx4090(2),
            model=model,
        )
        for more in (["--cpu-offload-gb", "8"], [])
    )
    assert without.minimum_gib - found.minimum_gib == pytest.approx(8, abs=0.3)


def test_no_more_than_the_weights_can_be_on_the_cpu(tmp_path: Path) -> None:
    """15 GiB of weights, and 40 asked for: the cache of 131072 tokens, 16 GiB, stays."""
    model = decoder(tmp_path / "m", LLAMA3_8B)
    found = told(tmp_path, ["--model", "/models/q", "--cpu-offload-gb", "40"], gpus=rtx4090(), model=model)
    assert found.minimum_gib > 16


def test_gigabytes_that_sglang_keeps_on_the_cpu(tmp_path: Path) -> None:
    """`--cpu-offload-gb` (sglang/srt/server_args.py): 8 of 15 GiB."""
    model = decoder(tmp_path / "m", LLAMA3_8B)
    command = ["python3", "-m", "sglang.launch_server", "--model-path", "/models/q", "--context-length", "8192"]
    found, without = (
        told(tmp_path, [*command, *more], image=SGLANG, gpus=rtx4090(), model=model)
        for more in (["--cpu-offload-gb", "8"], [])
    )
    assert 7.5 < without.minimum_gib - found.minimum_gib < 10
