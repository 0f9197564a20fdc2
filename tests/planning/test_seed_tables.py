"""What people were promised elsewhere and did not get: the tables of a two-GPU box with five services, of parallel
serving, and of a 70B deployment, each row as a test."""

from dataclasses import replace

import pytest

from gputui.domain.assignment import Draft
from gputui.domain.finding import Finding
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.launch import Launch, Mount
from gputui.domain.model import ModelFiles
from gputui.domain.service import ClaimRule, Requirement, Service
from gputui.domain.serving import Serving
from gputui.domain.suggestion import Suggestion
from gputui.models.model_config import architecture_of
from gputui.planning.changes.steps import make_plan
from gputui.planning.findings.find_all import find_all
from gputui.planning.memory_shares import memory_of
from gputui.planning.needs.fitting import smallest_tensor_size
from gputui.planning.needs.model_path import place_of
from gputui.planning.placement.proposal import automatic, suggest
from gputui.planning.services import serving_of
from tests.builders import gpu, process, reading, service

GIB = 1024

A5500 = gpu(0, total=24564, name="NVIDIA RTX A5500", memory_bandwidth_gb_s=768, compute_capability="8.6")
A400 = gpu(1, total=4094, name="NVIDIA RTX A400", memory_bandwidth_gb_s=96, compute_capability="8.6")
BOX = [A5500, A400]


def mib(gib: float) -> int:
    return int(gib * GIB)


LLM, ENRICHMENT, FLORENCE, CLIP, YOLO = mib(21.7), mib(6.8), mib(1.5), mib(1.2), 650


def found(services: list[Service], readings: list[Reading]) -> list[Finding]:
    memory = [memory_of(one, services) for one in readings]
    return list(find_all(services, [one.gpu for one in readings], readings, memory))


def codes(services: list[Service], readings: list[Reading]) -> set[str]:
    return {one.code for one in found(services, readings)}


def idle(*gpus: Gpu) -> list[Reading]:
    return [reading(one) for one in gpus]


def new(name: str, *gpus: Gpu, need: int | None = None, **values: object) -> Service:
    """A service that does not run yet."""
    made = service(name, *gpus, need=need, container=None, requested=None, origin="compose")
    return replace(made, **values)  # type: ignore[arg-type]


def the_box(**edits: Service) -> list[Service]:
    services = {
        "ai-llm": new("ai-llm", A5500, need=LLM, priority=10, isolate=True),
        "ai-yolo26": new("ai-yolo26", A5500, need=YOLO, priority=9),
        "ai-florence": new("ai-florence", A5500, need=FLORENCE),
        "ai-clip": new("ai-clip", A5500, need=CLIP),
        "ai-enrichment": new("ai-enrichment", A400, need=ENRICHMENT, declared_mib=ENRICHMENT, has_budget=True),
    }
    return list({**services, **edits}.values())


def where(suggestion: Suggestion) -> dict[str, tuple[str, ...]]:
    return {one.name: one.gpus for one in suggestion.assignments}


# --- validation warnings ----------------------------------------------------------------------------------------------


def test_vram_exceeds_gpu_capacity() -> None:
    (one,) = found([new("ai-enrichment", A400, need=ENRICHMENT)], idle(*BOX))
    assert (one.code, one.severity) == ("too-big", "warning")
    assert one.text == "ai-enrichment needs 6.8 GiB (declared); GPU 1 has 4.0 GiB in all"
    assert one.fix.startswith("GPU 0 would fit")


def test_multiple_large_models_on_a_small_gpu() -> None:
    services = [new("a", A400, need=mib(2.0)), new("b", A400, need=mib(1.5)), new("c", A400, need=mib(1.5))]
    (one,) = found(services, idle(*BOX))
    assert one.code == "sum-too-big"
    assert one.text == "GPU 1 is overcommitted: 5.0 GiB (2.0 a, 1.5 b, 1.5 c) of 4.0 GiB"


def test_llm_on_a_small_gpu() -> None:
    (one,) = found([new("ai-llm", A400, need=LLM)], idle(*BOX))
    assert one.text == "ai-llm needs 21.7 GiB (declared); GPU 1 has 4.0 GiB in all"


def test_warnings_stop_nothing() -> None:
    services = [new("ai-llm", A400, need=LLM)]
    plan = make_plan(services, BOX, found(services, idle(*BOX)), revision=1)
    assert [step.action for step in plan.doing] == ["create"]
    assert plan.obstacles == ()


# --- edge cases -------------------------------------------------------------------------------------------------------


def test_gpu_removed_or_failed() -> None:
    """It is said on the service's row, and a strategy places the service elsewhere."""
    gone = service("ai-clip", A400, need=CLIP)
    (missing,) = [one for one in found([gone], idle(A5500)) if one.code == "gpu-missing"]
    assert missing.severity == "error"
    assert where(suggest("vram", [gone], idle(A5500))) == {"ai-clip": (A5500.uuid,)}


def test_a_lost_gpu_gets_nothing() -> None:
    lost = replace(reading(A5500), state="lost")
    assert where(suggest("vram", [new("ai-clip", need=CLIP)], [lost, reading(A400)])) == {"ai-clip": (A400.uuid,)}


def test_user_assigns_the_same_gpu_to_all() -> None:
    """Allowed: warnings at most."""
    services = [new(name, A5500, need=mib(10)) for name in "abc"]
    findings = found(services, idle(*BOX))
    assert {one.severity for one in findings} == {"warning"}
    assert make_plan(services, BOX, findings, revision=1).obstacles == ()


def test_no_gpus_detected() -> None:
    nothing = suggest("balanced", [new("a", need=10)], [])
    assert nothing.assignments == ()
    assert [one.name for one in nothing.unplaced] == ["a"]
    assert found([new("a", need=10)], []) != []


# --- assignment strategies --------------------------------------------------------------------------------------------


def test_manual_leaves_everything_to_the_person() -> None:
    suggestion = suggest("manual", the_box(), idle(*BOX))
    assert where(suggestion) == {one.name: one.assigned for one in the_box()}
    assert suggestion.moves == 0


def test_vram_based_puts_the_largest_model_on_the_largest_gpu() -> None:
    suggestion = suggest("vram", the_box(), idle(*BOX))
    assert where(suggestion)["ai-llm"] == (A5500.uuid,)
    assert suggestion.unplaced == ()


def test_latency_optimized_puts_the_critical_path_on_the_fastest_gpu() -> None:
    services = [one for one in the_box() if one.name != "ai-enrichment"]
    chosen = where(suggest("latency", services, idle(*BOX)))
    assert chosen["ai-llm"] == chosen["ai-yolo26"] == (A5500.uuid,)


def test_isolation_first_gives_the_llm_a_gpu_of_its_own() -> None:
    large = gpu(2, total=24564, name="NVIDIA RTX A5500", memory_bandwidth_gb_s=768)
    chosen = where(suggest("isolation", the_box(), idle(A5500, A400, large)))
    assert sum(gpus == chosen["ai-llm"] for gpus in chosen.values()) == 1
    assert {gpus for name, gpus in chosen.items() if name != "ai-llm"} != {chosen["ai-llm"]}


def test_balanced_spreads_the_memory_evenly() -> None:
    same = [gpu(index, total=24564) for index in range(2)]
    services = [new(name, same[0], need=mib(6)) for name in "abcd"]
    suggestion = suggest("balanced", services, idle(*same))
    assert [one.planned_mib for one in suggestion.gpus] == [mib(12), mib(12)]


@pytest.mark.parametrize("strategy", ["vram", "latency", "isolation", "balanced"])
def test_the_box_in_gib_has_a_plan_that_greedy_misses(strategy: str) -> None:
    """By size, the largest first, nothing is left for yolo and clip; the plan is llm, florence and yolo beside clip and
    an enrichment of 2865 MiB: 2.79 GiB."""
    suggestion = suggest(strategy, the_box(), idle(*BOX))  # type: ignore[arg-type]
    assert suggestion.unplaced == ()
    chosen = where(suggestion)
    assert chosen["ai-llm"] == chosen["ai-florence"] == chosen["ai-yolo26"] == (A5500.uuid,)
    assert chosen["ai-clip"] == chosen["ai-enrichment"] == (A400.uuid,)
    (enrichment,) = [one for one in suggestion.assignments if one.name == "ai-enrichment"]
    assert enrichment.budget_mib == 4094 - CLIP
    assert 2.79 <= 4094 / GIB - 1.2 < 2.8
    assert enrichment.adjusted
    assert any("2.79 GiB, not 6.8" in note for note in suggestion.notes)


def test_the_box_in_decimal_gb_keeps_four_services_on_the_large_gpu() -> None:
    """23,890 MiB: it fits by 674 MiB."""

    def decimal(gigabytes: float) -> int:
        return int(gigabytes * 1e9 / 2**20)

    needs = {"ai-llm": 21.7, "ai-florence": 1.5, "ai-clip": 1.2, "ai-yolo26": 0.65}
    services = [new(name, A5500, need=decimal(size)) for name, size in needs.items()]
    memory = memory_of(reading(A5500), services)
    assert memory.free_after_mib == 24564 - sum(decimal(size) for size in needs.values())
    assert abs(memory.free_after_mib - 674) <= 4
    assert found(services, idle(*BOX)) == []


def test_a_budget_grows_back_where_there_is_room() -> None:
    services = [replace(one, budget_mib=2865) if one.name == "ai-enrichment" else one for one in the_box()]
    large = gpu(2, total=49140, name="NVIDIA RTX A6000", memory_bandwidth_gb_s=768)
    suggestion = suggest("vram", services, idle(A5500, A400, large))
    (enrichment,) = [one for one in suggestion.assignments if one.name == "ai-enrichment"]
    assert (enrichment.budget_mib, enrichment.adjusted) == (None, True)


# --- parallel serving -------------------------------------------------------------------------------------------------

H100 = [gpu(index, compute_capability="9.0", island="NVLink 0") for index in range(8)]


def flags(*words: str, backend: str = "vllm", gpus: int = 1) -> Serving:
    return serving_of(backend, Launch(words=words), gpus)


def parallel(*words: str, on: list[Gpu], backend: str = "vllm", model: dict[str, object] | None = None) -> Service:
    files = None
    if model is not None:
        files = ModelFiles(path="/m", architecture=architecture_of(model), has_weights=True, has_tokenizer=True)
    launch = Launch(words=words, shm_mib=16384)
    return new(
        "llm",
        *on,
        requirement=Requirement(minimum_mib=GIB, claim_mib=GIB, source="weights"),
        backend=backend,
        launch=launch,
        serving=flags(*words, backend=backend, gpus=len(on)),
        files=files,
    )


def errors(one: Service) -> list[Finding]:
    return [each for each in found([one], idle(*H100)) if each.severity == "error"]


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        ("vllm", ("vllm", "serve", "m", "--tensor-parallel-size", "4")),
        ("vllm", ("vllm", "serve", "m", "-tp", "2", "-pp", "2")),
        ("vllm", ("vllm", "serve", "m", "-tp=2", "--data_parallel_size=2")),
        ("sglang", ("python", "-m", "sglang.launch_server", "--tp", "2", "--dp-size", "2")),
        ("tensorrt_llm", ("trtllm-serve", "m", "--tp_size", "2", "--pp_size", "2")),
        ("tgi", ("text-generation-launcher", "--num-shard", "4")),
        ("pytorch", ("torchrun", "--nproc_per_node", "4", "train.py")),
    ],
)
def test_more_gpus_wanted_than_assigned_is_an_error_before_anything_starts(
    backend: str, words: tuple[str, ...]
) -> None:
    (one,) = errors(parallel(*words, on=H100[:2], backend=backend))
    assert one.code == "too-few-gpus"
    assert "needs 4 GPUs" in one.text
    assert "has 2 (0,1)" in one.text
    assert "assign it 4 GPUs" in one.fix


def test_tensor_parallel_size_within_the_gpus_is_fine() -> None:
    assert found([parallel("vllm", "serve", "m", "-tp", "2", on=H100[:2])], idle(*H100)) == []


def test_fewer_gpus_used_than_assigned_is_a_warning_that_names_the_idle_ones() -> None:
    (one,) = found([parallel("vllm", "serve", "m", "-tp", "2", on=H100[:4])], idle(*H100))
    assert (one.code, one.severity) == ("idle-gpus", "warning")
    assert "GPU 2,3 would be idle" in one.text
    assert [(edit.argument, edit.value) for edit in one.edits] == [("--tensor-parallel-size", "4")]


def test_data_parallel_attention_of_sglang_takes_no_more_gpus() -> None:
    words = ("sglang", "--tp-size", "4", "--dp-size", "2", "--enable-dp-attention")
    assert flags(*words, backend="sglang").world == 4


def test_count_and_device_ids_together_are_refused_with_the_line(tmp_path: object) -> None:
    """See the reading of Compose files; here only that nothing else hides it."""
    from pathlib import Path

    from gputui.compose.files import ComposeFiles
    from gputui.compose.reading import read_project
    from gputui.domain.errors import UsageError

    assert isinstance(tmp_path, Path)
    path = tmp_path / "compose.yaml"
    devices = "[{driver: nvidia, count: 1, device_ids: ['0'], capabilities: [gpu]}]"
    path.write_text(
        "services:\n  a:\n    image: x\n    deploy:\n      resources:\n"
        f"        reservations:\n          devices: {devices}\n"
    )
    with pytest.raises(UsageError, match="count and device_ids exclude each other"):
        read_project(ComposeFiles((path,)))


# --- a 70B deployment -------------------------------------------------------------------------------------------------

SEVENTY_B: dict[str, object] = {
    "num_hidden_layers": 80, "num_attention_heads": 64, "num_key_value_heads": 8, "hidden_size": 8192,
    "intermediate_size": 28672, "vocab_size": 128256, "max_position_embeddings": 131072, "torch_dtype": "bfloat16",
}  # fmt: skip


def seventy_b(*gpus: Gpu, **values: object) -> Service:
    files = ModelFiles(
        path="/m",
        architecture=architecture_of(SEVENTY_B),
        weights_bytes=141_107_412_992,
        has_weights=True,
        has_tokenizer=True,
    )
    serving = flags("vllm", "serve", "m", "--max-model-len", "8192")
    needs = Requirement(minimum_mib=135_000, claim_mib=37_684, source="weights", rule=ClaimRule("total", 0.92))
    made = new("llama", *gpus, backend="vllm", files=files, serving=serving, requirement=needs)
    return replace(made, **values)  # type: ignore[arg-type]


def test_issue_1_a_model_without_a_tokenizer() -> None:
    files = ModelFiles(path="/m", has_weights=True, has_tokenizer=False)
    (one,) = errors(new("llm", H100[0], need=1, backend="vllm", files=files, model="/m"))
    assert one.code == "no-tokenizer"
    assert "TypeError: not a string" in one.text


def test_issue_1_a_model_without_weights() -> None:
    files = ModelFiles(path="/m", has_weights=False, has_tokenizer=True)
    assert [one.code for one in errors(new("llm", H100[0], need=1, backend="vllm", files=files, model="/m"))] == [
        "no-weights"
    ]


def test_issue_2_a_path_that_is_not_mounted() -> None:
    place = place_of("/ceph/models/llama", Launch(mounts=(Mount(source="/srv", target="/srv"),)), {})
    assert place.unmounted == "/ceph/models/llama"
    (one,) = errors(new("llm", H100[0], need=1, backend="vllm", model="/ceph/models/llama", unmounted=place.unmounted))
    assert one.code == "path-not-mounted"


def test_issue_2_a_path_that_is_mounted_under_its_alias() -> None:
    launch = Launch(mounts=(Mount(source="/ceph/models", target="/fsx/models"),))
    place = place_of("/ceph/models/llama", launch, {"/ceph": "/fsx"})
    assert place.unmounted is None
    assert "/ceph/models/llama" in place.paths


def test_issue_3_the_smallest_tensor_parallel_size_on_40_gb_cards_is_4() -> None:
    cards = [gpu(index, total=40960, name="NVIDIA A100-SXM4-40GB") for index in range(8)]
    free: dict[str, int | None] = {card.uuid: 40960 for card in cards}
    assert smallest_tensor_size(seventy_b(cards[0]), idle(*cards), free) == (4, ("0", "1", "2", "3"))
    (one,) = [each for each in found([seventy_b(cards[0])], idle(*cards)) if each.code == "fraction-too-small"]
    assert one.fix == "--tensor-parallel-size 4 on 4 GPUs would fit, as on 0,1,2,3"


def test_issue_3_and_2_on_80_gb_cards() -> None:
    free: dict[str, int | None] = {card.uuid: 81920 for card in H100}
    assert smallest_tensor_size(seventy_b(H100[0]), idle(*H100), free) == (2, ("0", "1"))


def test_issue_5_gpus_that_others_use_are_not_chosen() -> None:
    busy = [reading(card, process(1, 70 * GIB)) for card in H100[:2]]
    chosen = automatic(new("a", need=20 * GIB), [new("a", need=20 * GIB)], [*busy, *idle(*H100[2:])])
    assert chosen.gpus[0] not in (H100[0].uuid, H100[1].uuid)


def test_issue_7_a_healthcheck_that_gives_up_before_the_model_is_loaded() -> None:
    launch = Launch(words=("vllm", "serve", "m"), start_period_s=120.0, health_allows_s=90.0)
    (one,) = [each for each in found([seventy_b(*H100[:2], launch=launch)], idle(*H100)) if each.code == "start-period"]
    assert one.severity == "warning"
    assert one.fix == "set healthcheck.start_period: 660s"


def test_issue_7_a_start_period_that_suits_the_model() -> None:
    launch = Launch(words=("vllm", "serve", "m"), start_period_s=900.0, health_allows_s=600.0)
    assert "start-period" not in codes([seventy_b(*H100[:2], launch=launch)], idle(*H100))


def test_a_draft_of_everything_is_one_undo() -> None:
    from gputui.domain.assignment import Assignments
    from gputui.planning.changes.draft_edit import with_suggestion

    services = the_box()
    draft = Draft(saved=Assignments(), current=Assignments())
    suggestion = suggest("vram", services, idle(*BOX))
    after = with_suggestion(draft, "vram", {one.key: one for one in services}, suggestion.assignments)
    assert after.current.strategy == "vram"
    assert after.undone().current == draft.current
