"""Findings about parallel sizes, models and launches: code, severity, and the words that a person needs."""

from dataclasses import replace

import pytest

from gputui.domain.finding import Finding
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.launch import Launch
from gputui.domain.model import ModelFiles
from gputui.domain.service import ClaimRule, Requirement, Service
from gputui.models.model_config import architecture_of
from gputui.planning.findings.find_all import find_all
from gputui.planning.memory_shares import memory_of
from gputui.planning.services import serving_of
from tests.builders import gpu, process, reading, service

GIB = 1024
GPUS = [gpu(index, compute_capability="9.0") for index in range(8)]


def found(*services: Service, readings: list[Reading] | None = None) -> list[Finding]:
    readings = readings if readings is not None else [reading(one) for one in GPUS]
    memory = [memory_of(one, services) for one in readings]
    return list(find_all(services, [one.gpu for one in readings], readings, memory))


def starts(
    name: str,
    *gpus: Gpu,
    words: tuple[str, ...] = (),
    backend: str = "vllm",
    model: dict[str, object] | None = None,
    **more: object,
) -> Service:
    """A service of ours that does not run yet, with enough shared memory."""
    launch = Launch(words=words, shm_mib=16384)
    files = None
    if model is not None:
        files = ModelFiles(path="/m", architecture=architecture_of(model), has_weights=True, has_tokenizer=True)
    serving = serving_of(backend, launch, len(gpus))
    made = service(
        name, *gpus, backend=backend, launch=launch, serving=serving, files=files, origin="compose",
        container=None, requested=None, requirement=Requirement(minimum_mib=GIB, claim_mib=GIB, source="weights"),
    )  # fmt: skip
    more["model"] = more.pop("model_name", None)
    return replace(made, **more)  # type: ignore[arg-type]


def tensor(size: int, model: dict[str, object], *more: str, on: int | None = None) -> list[Finding]:
    words = ("vllm", "serve", "m", "-tp", str(size), *more)
    return found(starts("llm", *GPUS[: on or size], words=words, model=model))


MODEL: dict[str, object] = {
    "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 4, "num_attention_heads": 32, "num_key_value_heads": 8,
    "hidden_size": 4096, "intermediate_size": 14336, "max_position_embeddings": 8192, "torch_dtype": "bfloat16",
}  # fmt: skip


def only(findings: list[Finding], code: str, severity: str) -> Finding:
    assert [(one.code, one.severity) for one in findings] == [(code, severity)]
    return findings[0]


def test_sizes_that_suit_the_model_are_fine() -> None:
    for size in (1, 2, 4, 8):
        assert tensor(size, MODEL) == []


def test_the_gpus_of_llama_cpp_are_no_data_parallel_copies() -> None:
    words = ("llama-server", "-ts", "1,1")
    one = only(found(starts("llm", *GPUS[:3], words=words, backend="llama_cpp")), "idle-gpus", "warning")
    assert one.text == "llm uses 2 of its 3 GPUs: GPU 2 would be idle"


def test_heads_that_cannot_be_divided() -> None:
    one = only(tensor(3, MODEL), "heads", "error")
    assert one.text == "llm: its 32 attention heads cannot be divided by tensor parallel size 3"
    assert one.fix == "--tensor-parallel-size 1, 2, 4, 8 or 16"


def test_key_value_heads_that_cannot_be_divided() -> None:
    one = only(tensor(4, {**MODEL, "num_key_value_heads": 6, "num_attention_heads": 24}), "kv-heads", "error")
    assert "6 key-value heads" in one.text


def test_fewer_key_value_heads_than_gpus_are_kept_several_times() -> None:
    one = only(tensor(8, {**MODEL, "num_key_value_heads": 4}), "kv-heads-copied", "info")
    assert "2 times over" in one.text


def test_latent_attention_knows_no_rule_of_key_value_heads() -> None:
    judged = tensor(4, {**MODEL, "num_key_value_heads": 6, "num_attention_heads": 24, "kv_lora_rank": 512})
    assert [one.code for one in judged] == ["version-unknown"]


def test_more_pipeline_stages_than_layers() -> None:
    one = only(tensor(1, MODEL, "-pp", "8", on=8), "pipeline", "error")
    assert "8 is more than its 4 layers" in one.text


def test_experts_of_a_model_that_has_none() -> None:
    only(tensor(2, MODEL, "--enable-expert-parallel"), "no-experts", "error")
    assert tensor(2, {**MODEL, "num_local_experts": 8}, "--enable-expert-parallel") == []


def test_vision_heads_that_cannot_be_divided() -> None:
    only(tensor(8, {**MODEL, "vision_config": {"num_heads": 12}}), "vision-heads", "error")
    assert tensor(8, {**MODEL, "vision_config": {"num_heads": 12}}, "--language-model-only") == []


def test_layers_that_do_not_fall_into_whole_groups() -> None:
    quantized = {**MODEL, "quantization_config": {"quant_method": "awq", "group_size": 128}, "intermediate_size": 11008}
    one = only(tensor(4, quantized), "quantization-group", "error")
    assert "11008 cut in 4 are 2752 wide, no multiple of the 128" in one.text


@pytest.mark.parametrize("value", ["0", "-2", "two"])
def test_a_size_less_than_one(value: str) -> None:
    one = only(found(starts("llm", GPUS[0], words=("vllm", "serve", "m", f"-tp={value}"))), "bad-option", "error")
    assert "--tensor-parallel-size" in one.text


def test_an_option_that_cannot_be_told_is_said_to_be_unchecked() -> None:
    one = only(found(starts("llm", GPUS[0], words=("sh", "-c", "vllm serve m -tp $N"))), "option-unread", "info")
    assert "--tensor-parallel-size" in one.text


def test_a_longer_context_than_the_model_has() -> None:
    one = only(tensor(1, MODEL, "--max-model-len", "32768"), "context-too-long", "error")
    assert one.fix == "--max-model-len 8192"


def test_a_mig_instance_in_a_group() -> None:
    whole = gpu(0, mig_enabled=True)
    instances = [
        gpu(0, uuid=f"MIG-{number}", mig_index=number, parent_uuid=whole.uuid, total=40960) for number in range(2)
    ]
    readings = [reading(one) for one in (whole, *instances)]
    findings = found(starts("llm", *instances, words=("vllm", "serve", "m", "-tp", "2")), readings=readings)
    assert only(findings, "mig-in-group", "refusal").gpu == "MIG-0"


@pytest.mark.parametrize(
    ("capability", "model", "code"),
    [
        ("7.5", MODEL, "dtype-fallback"),
        ("8.0", MODEL, None),
        ("8.6", {**MODEL, "quantization_config": {"quant_method": "fp8"}}, "dtype-emulated"),
        ("8.9", {**MODEL, "quantization_config": {"quant_method": "fp8"}}, None),
        ("7.0", {**MODEL, "torch_dtype": "float16", "quantization_config": {"quant_method": "fp8"}}, "dtype"),
        (None, MODEL, None),
    ],
)
def test_types_that_a_gpu_does_not_compute(capability: str | None, model: dict[str, object], code: str | None) -> None:
    card = gpu(0, compute_capability=capability)
    findings = found(starts("llm", card, words=("vllm", "serve", "m"), model=model), readings=[reading(card)])
    assert [one.code for one in findings] == ([code] if code else [])


def test_a_model_in_bfloat16_runs_on_an_old_gpu_when_told_to_use_half() -> None:
    card = gpu(0, compute_capability="7.5")
    words = ("vllm", "serve", "m", "--dtype", "half")
    assert found(starts("llm", card, words=words, model=MODEL), readings=[reading(card)]) == []


def test_different_gpus_in_a_group() -> None:
    other = gpu(1, name="NVIDIA A100 80GB")
    pair = starts("llm", GPUS[0], other, words=("vllm", "serve", "m", "-tp", "2"))
    one = only(found(pair, readings=[reading(GPUS[0]), reading(other)]), "mixed-gpus", "warning")
    assert "NVIDIA A100 80GB" in one.text


def test_a_group_across_islands() -> None:
    cards = [gpu(index, island=f"NVLink {index}") for index in range(2)]
    pair = starts("llm", *cards, words=("vllm", "serve", "m", "-tp", "2"))
    one = only(found(pair, readings=[reading(card) for card in cards]), "across-islands", "warning")
    assert "(NVLink 0, NVLink 1)" in one.text


def test_sglang_refuses_groups_with_uneven_free_memory() -> None:
    readings = [reading(GPUS[0]), reading(GPUS[1], process(9, 20 * GIB))]
    pair = starts("llm", *GPUS[:2], words=("sglang", "--tp", "2"), backend="sglang")
    one = only(found(pair, readings=readings), "uneven-memory", "error")
    assert "GPU 1 has 60.0 GiB free and GPU 0 80.0" in one.text
    one = only(found(replace(pair, backend="vllm"), readings=readings), "uneven-memory", "warning")
    assert "limits both" in one.text


def test_64_mib_of_shared_memory_for_a_group() -> None:
    pair = starts("llm", *GPUS[:2], words=("vllm", "serve", "m", "-tp", "2"))
    small = replace(pair, launch=replace(pair.launch, shm_mib=64))
    assert only(found(small), "small-shm", "warning").fix == "set shm_size: 16gb or ipc: host"
    assert found(replace(pair, launch=replace(pair.launch, shm_mib=64, shares_ipc=True))) == []


def test_two_vllm_that_start_on_one_gpu() -> None:
    one = only(found(starts("a", GPUS[0]), starts("b", GPUS[0])), "vllm-together", "warning")
    assert one.gpu == GPUS[0].uuid
    assert one.text.startswith("a and b start on GPU 0")
    assert found(starts("a", GPUS[0]), starts("b", GPUS[1])) == []


def test_host_ports_that_clash() -> None:
    def on(address: str, port: int) -> Service:
        made = starts(f"s{address}{port}", GPUS[0], backend="generic")
        return replace(made, launch=replace(made.launch, ports=((address, port, "tcp"),)))

    assert only(found(on("", 8000), on("127.0.0.1", 8000)), "port-clash", "warning").text.endswith(
        "port 8000 of the host"
    )
    assert found(on("127.0.0.1", 8000), on("127.0.0.2", 8000)) == []
    assert found(on("", 8000), on("", 8001)) == []


def test_an_image_that_contradicts_the_declared_backend() -> None:
    made = starts("llm", GPUS[0], backend="sglang", image="vllm/vllm-openai:v0.11.0")
    one = only(found(made), "backend-contradiction", "error")
    assert one.text == "llm is declared as sglang, but its image vllm/vllm-openai:v0.11.0 is vllm"


def test_a_damaged_model_is_an_error_until_it_runs() -> None:
    files = ModelFiles(path="/models/x", has_weights=True, problems=("a.safetensors is truncated: it has 3 bytes",))
    made = starts("llm", GPUS[0], files=files, model_name="/models/x")
    one = only(found(made), "model-damaged", "error")
    assert one.text == "llm: a.safetensors is truncated: it has 3 bytes (in /models/x)"
    runs = service("llm", GPUS[0], need=GIB, backend="vllm", model="/models/x", files=files, unmounted="/models/x")
    assert found(runs) == []


def test_a_fraction_that_is_less_than_the_model_needs() -> None:
    needs = Requirement(minimum_mib=30 * GIB, claim_mib=24 * GIB, source="weights", rule=ClaimRule("total", 0.3))
    one = only(found(starts("llm", GPUS[0], requirement=needs)), "fraction-too-small", "warning")
    assert one.text == "llm needs at least 30.0 GiB (weights), but takes only 24.0 GiB of GPU 0"
    assert one.fix == "--gpu-memory-utilization 0.38 is the least that it needs"


def test_too_little_room_names_the_flag_that_fits() -> None:
    needs = Requirement(minimum_mib=20 * GIB, claim_mib=72 * GIB, source="weights", rule=ClaimRule("total", 0.9))
    busy = [reading(card, process(5, 40 * GIB)) for card in GPUS[:2]]
    one = only(found(starts("llm", GPUS[0], requirement=needs), readings=busy), "foreign-memory", "warning")
    assert one.text.startswith("llm needs 72.0 GiB (weights; it takes 92% by default); GPU 0 has 40.0 of 80.0 GiB free")
    assert one.text.endswith("(40.0 bob: python 5)")
    assert one.fix == "--gpu-memory-utilization 0.49 would fit here"
    assert [(edit.argument, edit.value) for edit in one.edits] == [("--gpu-memory-utilization", "0.49")]


def test_a_disabled_service_is_not_judged() -> None:
    assert found(starts("llm", GPUS[0], words=("vllm", "serve", "m", "-tp", "4"), enabled=False)) == []


def test_a_finding_is_one_line() -> None:
    many = [
        starts("a", *GPUS[:3], words=("vllm", "serve", "m", "-tp", "3"), model=MODEL),
        starts("b", GPUS[0], words=("vllm", "serve", "m", "-tp", "8")),
        starts("c", GPUS[0], unmounted="/x/y", model_name="/x/y"),
    ]
    for one in found(*many):
        assert "\n" not in one.text + one.fix
        assert one.fix
        assert one.service
