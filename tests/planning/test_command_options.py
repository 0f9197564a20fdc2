"""Options as people write them: lists, shell strings, variables, aliases; and what cannot be told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gputui.domain.launch import Launch, launch_of
from gputui.domain.serving import Serving
from gputui.planning.backends.registry import backend_of
from gputui.planning.command_options import command_line, fraction, whole_number
from gputui.planning.needs.model_name import model_of, weights_by_name
from gputui.planning.services import serving_of


def vllm(*words: str, **environment: str) -> Serving:
    return serving_of("vllm", Launch(words=words, settings=tuple(sorted(environment.items()))), 1)


@pytest.mark.parametrize(
    "words",
    [
        ("vllm", "serve", "m", "--tensor-parallel-size", "2"),
        ("vllm", "serve", "m", "--tensor-parallel-size=2"),
        ("vllm", "serve", "m", "--tensor_parallel_size", "2"),
        ("vllm", "serve", "m", "-tp", "2"),
        ("vllm", "serve", "m", "-tp=2"),
        ("sh", "-c", "vllm serve m --tensor-parallel-size 2"),
        ("/bin/bash", "-lc", "export X=1; cd /app && exec vllm serve m -tp 2 > /dev/stdout"),
        ("bash", "-c", "pip install x && vllm serve m \\\n  --tensor-parallel-size=2 \\\n  --port 8000"),
        ("/usr/bin/tini", "--", "bash", "-c", "vllm serve m -tp '2'"),
    ],
)
def test_the_same_option_in_every_spelling(words: tuple[str, ...]) -> None:
    found = vllm(*words)
    assert (found.tensor, found.world, found.unread) == (2, 2, ())


@pytest.mark.parametrize(
    "script",
    [
        "vllm serve /m \\\n  --tensor-parallel-size 4 \\\n  --port 80",
        "export HF_TOKEN=hf_abc && vllm serve /m -tp 4",
        "export HF_TOKEN=hf_abc\nvllm serve /m -tp 4",
        "vllm serve /m -tp 4 2>&1 | tee -a /log",
        "# the server\nvllm serve /m -tp 4 # four GPUs",
        "sleep 1; python -m vllm.entrypoints.openai.api_server --model /m -tp 4 &> /log",
        "vllm serve /m --api-key sk-SECRET -tp 4",
    ],
)
def test_scripts_as_they_are_found(script: str) -> None:
    launch = launch_of({"Entrypoint": ["bash", "-c"], "Cmd": [script]}, {})
    found = serving_of("vllm", launch, 4)
    assert (found.tensor, found.unread) == (4, ())
    assert model_of(command_line(launch.words, {}).words, {}) == "/m"
    assert "hf_abc" not in repr(launch)
    assert "SECRET" not in repr(launch)


def test_a_script_that_is_cut_off_cannot_be_told() -> None:
    script = "vllm serve m " + "x" * 40_000 + " -tp 4"
    found = serving_of("vllm", launch_of({"Cmd": ["sh", "-c", script]}, {}), 1)
    assert found.tensor is None


def test_numbers_of_tokens_are_no_secrets() -> None:
    config = {"Cmd": ["x", "--max-num-batched-tokens", "8192"], "Env": ["MAX_TOTAL_TOKENS=4096"]}
    launch = launch_of(config, {})
    assert launch.words[-1] == "8192"
    assert launch.environment == {"MAX_TOTAL_TOKENS": "4096"}


def test_the_beginning_of_an_option_is_enough_where_it_is_that_of_one_only() -> None:
    assert vllm("vllm", "serve", "m", "--tensor-parallel", "4").tensor == 4
    assert vllm("vllm", "serve", "m", "--gpu-memory-util", "0.5").fraction == 0.5


def test_several_hosts_share_the_world() -> None:
    assert serving_of("sglang", Launch(words=("sglang", "--tp", "16", "--nnodes", "2")), 8).world == 8
    assert vllm("vllm", "serve", "m", "-dp", "4", "--data-parallel-rank", "0").world == 1
    assert vllm("vllm", "serve", "m", "-tp", "16", "--distributed-executor-backend", "ray").world is None


@pytest.mark.parametrize(
    ("words", "model"),
    [
        (("vllm", "serve", "--port", "8000", "org/model"), "org/model"),
        (("vllm", "serve", "org/model", "--port", "8000"), "org/model"),
        (("x", "--served-model-name", "llama-70b", "--model", "Qwen/Qwen3-0.6B"), "Qwen/Qwen3-0.6B"),
        (("x", "--served-model-name", "llama-70b"), "llama-70b"),
        (("python", "-m", "vllm.entrypoints.openai.api_server", "--model", "a/b"), "a/b"),
        (("trtllm-serve", "serve", "/engines/x"), "/engines/x"),
        (("python", "serve.py"), None),
    ],
)
def test_which_model_it_is(words: tuple[str, ...], model: str | None) -> None:
    assert model_of(words, {}) == model


def test_a_variable_of_the_container_is_put_in() -> None:
    found = vllm("sh", "-c", "vllm serve m -tp ${TENSOR_PARALLEL_SIZE}", TENSOR_PARALLEL_SIZE="4")
    assert found.tensor == 4


def test_a_default_in_the_script_is_taken() -> None:
    assert vllm("sh", "-c", "vllm serve m -tp ${TP_UNKNOWN:-2}").tensor == 2


@pytest.mark.parametrize(
    "words",
    [
        ("sh", "-c", "vllm serve m -tp $GPUS"),
        ("sh", "-c", "vllm serve m -tp $(nvidia-smi -L | wc -l)"),
        ("sh", "-c", "if true; then vllm serve m; fi"),
        ("vllm", "serve", "m", "--config", "/etc/vllm.yaml"),
        ("sh", "-c", "vllm serve 'm"),
    ],
)
def test_what_cannot_be_told_is_unknown_and_not_one(words: tuple[str, ...]) -> None:
    found = vllm(*words)
    assert found.tensor is None
    assert found.world is None
    assert "--tensor-parallel-size" in found.unread


def test_variables_that_the_program_does_not_read_say_nothing() -> None:
    assert vllm("vllm", "serve", "m", TENSOR_PARALLEL="4").tensor == 1


def test_of_a_script_of_ones_own_nothing_can_be_told() -> None:
    assert vllm("serve.sh", "-tp", "2", TENSOR_PARALLEL="4").world is None


def test_of_an_option_given_twice_the_last_one_counts() -> None:
    assert vllm("vllm", "serve", "m", "-tp", "2", "--tensor-parallel-size", "8").tensor == 8


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5", "nan", ""])
def test_a_size_that_is_none_is_told(value: str) -> None:
    found = vllm("vllm", "serve", "m", f"--tensor-parallel-size={value}")
    assert found.tensor is None
    assert found.invalid


@pytest.mark.parametrize("value", ["nan", "inf", "-0.5", "0", "1.5", "90%", ""])
def test_a_fraction_that_is_none_is_told(value: str) -> None:
    found = vllm("vllm", "serve", "m", f"--gpu-memory-utilization={value}")
    assert found.fraction is None
    assert len(found.invalid) == 1


@pytest.mark.parametrize(
    ("text", "number"), [("8192", 8192), ("32k", 32_000), ("32K", 32_768), ("1.5k", 1500), ("x", None), ("1.5", None)]
)
def test_numbers_as_the_engines_read_them(text: str, number: int | None) -> None:
    assert whole_number(text) == number


@given(st.text(max_size=200))
def test_any_script_is_read_without_an_error(script: str) -> None:
    for backend in ("vllm", "sglang", "tensorrt_llm", "tgi", "llama_cpp", "pytorch", "generic"):
        found = serving_of(backend, Launch(words=("sh", "-c", script)), 2)
        assert found.world is None or found.world >= 1
    whole_number(script)
    fraction(script)
    command_line(("sh", "-c", script), {})


@given(st.lists(st.text(max_size=20), max_size=8))
def test_any_words_are_read_without_an_error(words: list[str]) -> None:
    for backend in ("vllm", "sglang", "tensorrt_llm", "tgi", "llama_cpp", "pytorch"):
        found = serving_of(backend, Launch(words=tuple(words)), 1)
        assert found.world is None or found.world >= 1
    assert model_of(words, {}) in (None, *words) or any("=" in word for word in words)


def test_tgi_takes_all_gpus_unless_told() -> None:
    assert serving_of("tgi", Launch(words=("text-generation-launcher",)), 4).world == 4
    assert serving_of("tgi", Launch(words=("text-generation-launcher", "--sharded", "false")), 4).world == 1
    assert serving_of("tgi", Launch(settings=(("NUM_SHARD", "2"),)), 4).world == 2


def test_llama_cpp_splits_by_its_list() -> None:
    found = serving_of("llama_cpp", Launch(words=("llama-server", "-ts", "3,1", "-ngl", "99", "-c", "8192")), 2)
    assert (found.world, found.split, found.context) == (2, (0.75, 0.25), 8192)
    assert serving_of("llama_cpp", Launch(words=("llama-server", "-ts", "3,nan")), 2).invalid
    assert serving_of("llama_cpp", Launch(settings=(("LLAMA_ARG_TENSOR_SPLIT", "1,1"),)), 2).split == (0.5, 0.5)


@pytest.mark.parametrize(
    ("image", "words", "backend"),
    [
        ("vllm/vllm-openai:v0.11.0", (), "vllm"),
        ("registry.example/team/serve:1", ("vllm", "serve", "m"), "vllm"),
        ("registry.example/team/serve:1", ("python", "-m", "sglang.launch_server"), "sglang"),
        ("ghcr.example/text-generation-inference:3", (), "tgi"),
        ("nvcr.example/tensorrt-llm/release", ("trtllm-serve", "m"), "tensorrt_llm"),
        ("team/pytorch:2", ("vllm", "serve", "m"), "vllm"),
        ("team/pytorch:2", ("python", "train.py"), "pytorch"),
        ("team/app", ("app", "--model", "/models/vllm/x"), "generic"),
        ("ghcr.example/blake/frigate:stable-tensorrt", (), "generic"),
        ("acme/vllm-exporter:1", (), "generic"),
        ("nvcr.example/nvidia/tritonserver:25.01-vllm-python-py3", (), "pytorch"),
        ("nvcr.example/nvidia/tensorrt-llm/release:1.0", (), "tensorrt_llm"),
        ("ghcr.example/ggml-org/llama.cpp:server-cuda", (), "llama_cpp"),
        ("lmsysorg/sglang:v0.5.3", (), "sglang"),
    ],
)
def test_which_backend_it_is(image: str, words: tuple[str, ...], backend: str) -> None:
    assert backend_of(image, words) == backend


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [
        ("Qwen/Qwen2.5-72B-Instruct", 144.0),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", 60.0),
        ("Qwen/Qwen3-32B-FP8", 32.0),
        ("mistralai/Mixtral-8x7B-v0.1", 112.0),
        ("TheBloke/Llama-2-70B-AWQ", 42.0),
        ("/models/Nemotron-3-Nano-30B-Q4_K_M.gguf", 18.34),
        ("BAAI/bge-m3-568M", 1.136),
    ],
)
def test_the_size_that_a_name_tells(name: str, gigabytes: float) -> None:
    found = weights_by_name(name)
    assert found is not None
    assert found / 1e9 == pytest.approx(gigabytes, rel=0.01)


@pytest.mark.parametrize("name", ["whisper-large-v3", "gpt-4", "model", "", "v0.11.0"])
def test_a_name_without_a_size_tells_none(name: str) -> None:
    assert weights_by_name(name) is None


def test_a_launch_keeps_no_secret() -> None:
    config = {
        "Cmd": ["vllm", "serve", "m", "--api-key", "sk-123"],
        "Env": ["HF_TOKEN=hf_abc", "VLLM_API_KEY=sk-456", "TENSOR_PARALLEL_SIZE=2", "PATH=/bin"],
    }
    launch = launch_of(config, {})
    assert "sk-" not in repr(launch)
    assert "hf_abc" not in repr(launch)
    assert launch.environment == {"TENSOR_PARALLEL_SIZE": "2"}
