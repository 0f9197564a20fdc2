"""Variables of the environment: those that an image reads, and those that it does not."""

from pathlib import Path

import pytest

from tests.planning.reported.build import LLAMA_CPP, SGLANG, TGI, TOO_BIG, VLLM, h100, rtx4090, told
from tests.planning.reported.models import LLAMA3_8B, Q4_K, decoder, layers_gguf, sized

UNREAD = {"TENSOR_PARALLEL_SIZE": "2", "GPU_MEMORY_UTILIZATION": "0.5", "MAX_MODEL_LEN": "8192"}


def test_the_official_image_of_vllm_reads_none_of_these(tmp_path: Path) -> None:
    """vllm#3435: one GPU, 0.9 or more of it, the model's whole length; and it is said that they do nothing."""
    model = decoder(tmp_path / "m", LLAMA3_8B)
    found = told(tmp_path, ["--model", "/models/q"], gpus=rtx4090(2), model=model, environment=UNREAD)
    assert found.world == 1
    assert found.claim_mib is not None
    assert found.claim_mib >= 0.9 * 24564
    # 15 GiB of weights and 16 of cache for 131072 tokens
    assert found.minimum_gib > 31
    assert found.warned & set(TOO_BIG)
    for name in UNREAD:
        assert found.says(name), f"{name} does nothing"


@pytest.mark.parametrize(
    ("image", "command", "name"),
    [
        pytest.param(VLLM, ["--model", "/models/q"], "KV_CACHE_DTYPE", id="vllm, type of cache"),
        pytest.param(VLLM, ["--model", "/models/q"], "PIPELINE_PARALLEL_SIZE", id="vllm, pipeline"),
        pytest.param("vllm/vllm-openai:nightly", "--model /models/q", "TENSOR_PARALLEL", id="vllm, another tag"),
        pytest.param(
            SGLANG, ["python3", "-m", "sglang.launch_server", "--model-path", "/models/q"], "TP_SIZE", id="sglang"
        ),
    ],
)
def test_other_variables_that_nothing_reads(tmp_path: Path, image: str, command: str | list[str], name: str) -> None:
    value = "fp8" if "DTYPE" in name else "2"
    model = sized(tmp_path / "m", {**LLAMA3_8B, "max_position_embeddings": 8192}, 15)
    with_it = told(tmp_path, command, image=image, gpus=h100(), model=model, environment={name: value})
    without = told(tmp_path, command, image=image, gpus=h100(), model=model)
    assert (with_it.world, with_it.minimum_mib) == (1, without.minimum_mib)
    assert with_it.says(name), f"{name} does nothing"


def test_what_vllm_itself_reads_counts(tmp_path: Path) -> None:
    """VLLM_* are variables of the engine (vllm/envs.py): VLLM_DP_SIZE is one, and nothing is said of such."""
    model = sized(tmp_path / "m", LLAMA3_8B, 15)
    environment = {"VLLM_LOGGING_LEVEL": "DEBUG", "VLLM_USE_V1": "1", "HF_HOME": "/x", "MAX_JOBS": "4"}
    found = told(tmp_path, ["--model", "/models/q", "--max-model-len", "8192"], gpus=h100(), model=model,
                 environment=environment)  # fmt: skip
    assert found.findings == ()


def test_a_script_in_the_file_reads_what_it_names(tmp_path: Path) -> None:
    script = (
        "vllm serve /models/q --tensor-parallel-size $TENSOR_PARALLEL_SIZE "
        "--gpu-memory-utilization ${GPU_MEMORY_UTILIZATION} --max-model-len ${MAX_MODEL_LEN:-4096}"
    )
    model = sized(tmp_path / "m", LLAMA3_8B, 15)
    found = told(tmp_path, None, entrypoint=["sh", "-c", script.replace("$", "$$")], gpus=h100(2), model=model,
                 environment=UNREAD)  # fmt: skip
    assert found.world == 2
    assert found.claim_mib == pytest.approx(0.5 * 81559, abs=2)
    assert not found.says("TENSOR_PARALLEL_SIZE")


@pytest.mark.parametrize(
    ("image", "entrypoint", "command"),
    [
        pytest.param(VLLM, ["/app/start.sh"], None, id="a script in the image of vLLM"),
        pytest.param(VLLM, ["bash", "/opt/run.sh"], ["--model", "/models/q"], id="a script with arguments"),
        pytest.param("mine/vllm-server:3", None, None, id="an image of one's own"),
        pytest.param("runpod/worker-v1-vllm:v2.7.0", None, None, id="an image that reads them"),
    ],
)
def test_of_a_script_of_ones_own_nothing_can_be_told(
    tmp_path: Path, image: str, entrypoint: list[str] | None, command: list[str] | None
) -> None:
    """It may read the variables or none: no GPU idles, as far as can be told, and none is missing (vllm#3435)."""
    found = told(tmp_path, command, image=image, entrypoint=entrypoint, gpus=h100(2), environment=UNREAD)
    assert "idle-gpus" not in found.codes()
    assert "too-few-gpus" not in found.codes()
    assert not found.says("TENSOR_PARALLEL_SIZE", "nothing")


@pytest.mark.parametrize("entrypoint", [["/app/start.sh"], ["bash", "/opt/run.sh"]])
def test_a_script_of_ones_own_without_variables(tmp_path: Path, entrypoint: list[str]) -> None:
    found = told(tmp_path, None, image=VLLM, entrypoint=entrypoint, gpus=h100(2))
    assert "idle-gpus" not in found.codes()


def test_variables_of_tgi_are_read(tmp_path: Path) -> None:
    """Its launcher has an option and a variable for each (TGI's launcher manual)."""
    model = sized(tmp_path / "m", LLAMA3_8B, 15)
    environment = {"MODEL_ID": "/models/q", "NUM_SHARD": "2", "CUDA_MEMORY_FRACTION": "0.5", "MAX_TOTAL_TOKENS": "8192"}
    found = told(tmp_path, None, image=TGI, gpus=h100(2), model=model, environment=environment)
    assert (found.world, found.model) == (2, "/models/q")
    assert found.claim_mib == pytest.approx(0.5 * 81559, abs=2)
    assert not found.says("NUM_SHARD")


def test_variables_of_llama_cpp_are_read(tmp_path: Path) -> None:
    """LLAMA_ARG_* (tools/server/README.md)."""
    values = {"block_count": 32, "embedding_length": 4096, "attention.head_count": 32, "attention.head_count_kv": 8}
    layers_gguf(tmp_path / "m" / "q.gguf", "llama", values, gib=4.6, kind=Q4_K)
    environment = {"LLAMA_ARG_MODEL": "/m/q.gguf", "LLAMA_ARG_CTX_SIZE": "65536", "LLAMA_ARG_N_GPU_LAYERS": "99"}
    found = told(tmp_path, None, image=LLAMA_CPP, gpus=rtx4090(), more={"/m": tmp_path / "m"}, environment=environment)
    assert found.minimum_gib == pytest.approx(4.6 + 8 + 0.95, abs=0.2)
    assert not found.says("LLAMA_ARG_CTX_SIZE")
