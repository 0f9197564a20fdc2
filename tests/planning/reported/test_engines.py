"""Programs that serve models, and how each is recognised."""

from pathlib import Path

import pytest

from tests.planning.reported.build import cards, h100, rtx3090, t4, told
from tests.planning.reported.models import LLAMA3_8B, config_only, decoder, sized

LMDEPLOY = "openmmlab/lmdeploy:v0.10.1-cu12"

# --- Ollama -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "command"),
    [
        # ollama#8447
        pytest.param("ollama/ollama", None, id="the image"),
        pytest.param("ollama/ollama:0.12.3", ["serve"], id="a tag"),
        pytest.param("registry.example/mirror/ollama/ollama:latest", None, id="a mirror"),
        pytest.param("ubuntu:24.04", ["ollama", "serve"], id="the program"),
    ],
)
def test_ollama_takes_what_its_requests_need(tmp_path: Path, image: str, command: list[str] | None) -> None:
    """It loads models when they are asked for: what it will hold is not known from its file."""
    found = told(tmp_path, command, image=image, gpus=rtx3090(), environment={"OLLAMA_NUM_PARALLEL": "4"})
    assert found.backend == "ollama"
    assert found.is_told_as_guess()
    assert found.errors == set()


def test_ollama_uses_as_many_gpus_as_it_needs(tmp_path: Path) -> None:
    """One where the model fits, else all (ollama, server/sched.go): none idles."""
    found = told(tmp_path, None, image="ollama/ollama", gpus=rtx3090(2))
    assert "idle-gpus" not in found.codes()
    assert "too-few-gpus" not in found.codes()


def test_a_web_page_for_ollama_is_not_ollama(tmp_path: Path) -> None:
    found = told(tmp_path, None, image="ghcr.io/open-webui/open-webui:ollama", gpus=rtx3090())
    assert found.errors == set()


# --- text-embeddings-inference ----------------------------------------------------------------------------------------

BERT = {
    "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "num_hidden_layers": 24, "hidden_size": 1024,
    "num_attention_heads": 16, "intermediate_size": 4096, "vocab_size": 250002, "max_position_embeddings": 8194,
    "torch_dtype": "float32",
}  # fmt: skip


@pytest.mark.parametrize(
    ("image", "command", "environment"),
    [
        # TEI#760
        pytest.param(
            "ghcr.io/huggingface/text-embeddings-inference:turing-1.8", ["--model-id", "/models/q"], {}, id="turing"
        ),
        pytest.param(
            "ghcr.io/huggingface/text-embeddings-inference:1.8",
            "--model-id /models/q --max-batch-tokens 16384",
            {},
            id="1.8",
        ),
        pytest.param("mine/tei:2", ["text-embeddings-router", "--model-id=/models/q"], {}, id="the program"),
        pytest.param(
            "ghcr.io/huggingface/text-embeddings-inference:86-1.7", None, {"MODEL_ID": "/models/q"}, id="a variable"
        ),
    ],
)
def test_embeddings_need_more_than_their_weights(
    tmp_path: Path, image: str, command: list[str] | str | None, environment: dict[str, str]
) -> None:
    """It was out of memory on a T4 in its warm-up of 16384 tokens, where 1.8 GiB by "weights" were told: without flash
    attention the scores alone are 16 heads × 8192² × 2 bytes = 2 GiB a layer and sequence."""
    model = sized(tmp_path / "m", BERT, 1.06)
    found = told(tmp_path, command, image=image, gpus=t4(), model=model, environment=environment)
    assert found.backend == "tei"
    assert found.model == "/models/q"
    assert found.is_told_as_guess() or found.minimum_gib > 4


# --- LMDeploy ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "command"),
    [
        pytest.param(LMDEPLOY, ["lmdeploy", "serve", "api_server", "/models/q", "--tp", "2"], id="the image"),
        pytest.param(LMDEPLOY, "lmdeploy serve api_server --tp 2 /models/q --server-port 23333", id="options first"),
        pytest.param("mine/x:1", ["lmdeploy", "serve", "api_server", "/models/q", "--tp=2"], id="the program"),
        pytest.param("mine/x:1", ["bash", "-c", "exec lmdeploy serve api_server /models/q --tp 2"], id="a script"),
    ],
)
def test_the_model_that_lmdeploy_serves(tmp_path: Path, image: str, command: list[str] | str) -> None:
    """`lmdeploy serve api_server MODEL` (lmdeploy's manual, api_server)."""
    model = config_only(tmp_path / "m", LLAMA3_8B)
    found = told(tmp_path, command, image=image, gpus=h100(2), model=model)
    assert (found.backend, found.model, found.world) == ("lmdeploy", "/models/q", 2)
    assert "too-few-gpus" in told(tmp_path, command, image=image, gpus=h100(1), model=model).errors


@pytest.mark.parametrize(
    ("options", "fraction"),
    [([], 0.8), (["--cache-max-entry-count", "0.4"], 0.4), (["--cache_max_entry_count=0.2"], 0.2)],
)
def test_lmdeploy_fills_a_part_of_what_is_free(tmp_path: Path, options: list[str], fraction: float) -> None:
    """`--cache-max-entry-count` is a part of the memory that is free after the weights, 0.8 by default: of 79.6 GiB
    and 15.0 of weights."""
    model = decoder(tmp_path / "m", LLAMA3_8B)
    command = ["lmdeploy", "serve", "api_server", "/models/q", "--session-len", "8192", *options]
    found = told(tmp_path, command, image=LMDEPLOY, gpus=h100(), model=model)
    assert found.claim_mib is not None
    assert found.claim_mib / 1024 == pytest.approx(15.0 + fraction * (79.6 - 15.0), abs=3.5)


# --- none that is known -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "command"),
    [
        pytest.param("mine/serve:1", ["python", "serve.py", "--model", "/models/q"], id="a script"),
        pytest.param("ghcr.io/x/aphrodite:1", ["aphrodite", "run", "--model=/models/q"], id="another engine"),
        pytest.param("michaelf34/infinity:0.0.76", ["v2", "--model-id", "/models/q"], id="embeddings"),
    ],
)
def test_a_figure_of_an_unknown_engine_is_a_rule_of_thumb(tmp_path: Path, image: str, command: list[str]) -> None:
    """Weights × 1.2 and 2 GiB are a rule of thumb, not what the files say."""
    model = sized(tmp_path / "m", LLAMA3_8B, 15)
    found = told(tmp_path, command, image=image, gpus=cards(1, "NVIDIA L40S", 46068, "8.9"), model=model)
    assert found.is_told_as_guess()
