"""What a service needs, by each source, and by each backend's rule of memory."""

from pathlib import Path

import pytest

from gputui.domain.launch import Launch
from gputui.domain.model import ModelFiles
from gputui.domain.service import ClaimRule, Requirement, Service
from gputui.domain.serving import Serving
from gputui.models.model_config import architecture_of
from gputui.planning.backends.registry import named
from gputui.planning.memory_shares import memory_of
from gputui.planning.needs.budget import all_edits, environment_budget
from gputui.planning.needs.fitting import fit_into, fraction_for
from gputui.planning.needs.observations import new_peaks, peak_key
from gputui.planning.needs.requirement import Evidence, claim_by, requirement
from gputui.planning.services import serving_of
from tests.builders import container, gpu, process, reading, service

GIB = 1024
TOTAL = 80 * GIB

EIGHT_B = ModelFiles(
    path="/m",
    weights_bytes=16_060_522_496,
    has_weights=True,
    architecture=architecture_of(
        {
            "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "hidden_size": 4096,
            "intermediate_size": 14336, "vocab_size": 128256, "max_position_embeddings": 131072,
        }
    ),
)  # fmt: skip


def evidence(backend: str, *words: str, **known: object) -> Requirement:
    how = serving_of(backend, Launch(words=words), 1)
    values: dict[str, object] = {"gpus": 1, "total_mib": TOTAL, "gpu_total_mib": TOTAL}
    return requirement(Evidence(backend=named(backend), serving=how, **(values | known)))  # type: ignore[arg-type]


def test_observed_wins_over_weights_and_weights_over_what_is_declared() -> None:
    words = ("llama-server", "-c", "8192")
    assert evidence("llama_cpp", *words, files=EIGHT_B, declared_mib=5, peak_mib=9000).source == "observed"
    assert evidence("llama_cpp", *words, files=EIGHT_B, declared_mib=5).source == "weights"
    assert evidence("llama_cpp", *words, declared_mib=5000, model="x-70B").source == "declared"
    assert evidence("llama_cpp", *words, model="x-7B").source == "rule of thumb"
    assert evidence("llama_cpp", *words).source == "unknown"
    assert evidence("llama_cpp", *words).claim_mib is None


def test_a_peak_is_the_claim_of_an_engine_that_fills_a_fraction_and_no_minimum() -> None:
    found = evidence("vllm", "vllm", "serve", "m", "--max-model-len", "8192", files=EIGHT_B, peak_mib=70_000)
    assert found.claim_mib == 70_000
    assert found.minimum_mib is not None
    assert found.minimum_mib < 20 * GIB


def test_a_service_that_was_seen_to_run_with_less_needs_no_more() -> None:
    found = evidence("sglang", "sglang", model="x-72B", peak_mib=70_000)
    assert found.minimum_mib == 70_000


def test_a_peak_from_before_it_had_loaded_does_not_hide_what_its_flags_take() -> None:
    found = evidence("vllm", "vllm", "serve", "m", "--gpu-memory-utilization", "0.92", peak_mib=3000)
    assert found.claim_mib == claim_by(ClaimRule("total", 0.92), TOTAL, None)
    assert evidence("generic", "x", declared_mib=7000, peak_mib=500).claim_mib == 7000


@pytest.mark.parametrize("value", ["$UTIL", "nan", "1.7"])
def test_a_fraction_that_cannot_be_told_leaves_the_claim_unknown(value: str) -> None:
    words = ("sh", "-c", f"vllm serve m --max-model-len 4096 --gpu-memory-utilization {value}")
    found = evidence("vllm", *words, files=EIGHT_B)
    assert found.claim_mib is None
    assert found.minimum_mib is not None


def test_vllm_claims_its_fraction_whatever_the_model() -> None:
    found = evidence("vllm", "vllm", "serve", "m", "--gpu-memory-utilization", "0.5")
    assert (found.claim_mib, found.minimum_mib, found.source) == (40 * GIB, None, "declared")
    assert evidence("vllm", "vllm", "serve", "m").source == "rule of thumb"


def test_vllm_with_its_cache_in_bytes_claims_what_it_needs() -> None:
    found = evidence("vllm", "vllm", "serve", "m", "--kv-cache-memory-bytes", "4G", files=EIGHT_B)
    assert found.rule is None
    assert found.claim_mib == found.minimum_mib
    assert found.minimum_mib is not None
    assert found.minimum_mib > 15_316 + 3800


@pytest.mark.parametrize(
    ("rule", "total", "free", "claim"),
    [
        (ClaimRule("total", 0.5), 80_000, 60_000, 40_000),
        (ClaimRule("total", 0.5), None, 60_000, None),
        (ClaimRule("free", 0.8, 1000), 80_000, 60_000, 49_000),
        (ClaimRule("free", 0.99, 5000), 80_000, 60_000, 60_000),
        (ClaimRule("rest", 0.9, 20_000), 80_000, 60_000, 56_000),
        (ClaimRule("rest", 0.9, 20_000), 80_000, 10_000, 20_000),
        (ClaimRule("free", 0.8), 80_000, None, None),
    ],
)
def test_four_rules_of_memory(rule: ClaimRule, total: int | None, free: int | None, claim: int | None) -> None:
    """vLLM and TGI of the total, SGLang of what is free at its start, TensorRT-LLM of what its weights leave."""
    assert claim_by(rule, total, free) == claim


def test_each_backend_has_its_own_rule() -> None:
    rules = {
        name: evidence(name, "x", files=EIGHT_B).rule for name in ("vllm", "tgi", "sglang", "tensorrt_llm", "llama_cpp")
    }
    assert {name: rule.of if rule else None for name, rule in rules.items()} == {
        "vllm": "total", "tgi": "total", "sglang": "free", "tensorrt_llm": "rest", "llama_cpp": None,
    }  # fmt: skip


def test_a_claim_follows_the_size_of_the_gpu_that_it_moves_to() -> None:
    small, large = gpu(0, total=24 * GIB), gpu(1, total=80 * GIB)
    half = Requirement(claim_mib=12 * GIB, rule=ClaimRule("total", 0.5), gpu_total_mib=24 * GIB)
    vllm = service("a", small, backend="vllm", requirement=half)
    assert memory_of(reading(small), [vllm]).free_after_mib == 12 * GIB
    moved = service("a", large, backend="vllm", requirement=vllm.requirement)
    assert memory_of(reading(large), [moved]).free_after_mib == 40 * GIB


def test_one_that_takes_what_is_free_is_counted_after_the_others() -> None:
    card = gpu(0)
    rule = Requirement(minimum_mib=10 * GIB, claim_mib=10 * GIB, rule=ClaimRule("free", 0.8), source="weights")
    sglang = service("a-sglang", card, backend="sglang", requirement=rule)
    other = service("b-other", card, need=30 * GIB)
    assert memory_of(reading(card), [sglang, other]).free_after_mib == 10 * GIB


def test_an_uneven_split_gives_each_gpu_its_part() -> None:
    first, second = gpu(0), gpu(1)
    needs = Requirement(minimum_mib=30 * GIB, claim_mib=30 * GIB, source="weights", split=(0.75, 0.25))
    split = service("a", first, second, requirement=needs)
    assert memory_of(reading(first), [split]).free_after_mib == 50 * GIB
    assert memory_of(reading(second), [split]).free_after_mib == 70 * GIB


def test_the_fraction_that_fits_is_rounded_down() -> None:
    assert fraction_for(35_000, 81_559) == 0.42
    assert fraction_for(33_960, 81_559) == 0.41
    assert fraction_for(81_559, 81_559) == 0.92
    assert fraction_for(0, 81_559) == 0.0


def vllm_service(card: object, *words: str, files: ModelFiles | None = EIGHT_B) -> Service:
    launch = Launch(words=("vllm", "serve", "m", *words))
    how = serving_of("vllm", launch, 1)
    needs = requirement(Evidence(backend=named("vllm"), serving=how, gpus=1, total_mib=TOTAL, files=files))
    return service("llm", card, backend="vllm", requirement=needs, serving=how, launch=launch, files=files)  # type: ignore[arg-type]


def test_the_exact_flag_that_fits_is_suggested() -> None:
    card = gpu(0)
    fit = fit_into(vllm_service(card, "--max-model-len", "8192"), reading(card), 33_960, [reading(card)], {})
    assert fit is not None
    assert [(edit.argument, edit.value) for edit in fit.edits] == [("--gpu-memory-utilization", "0.40")]
    assert fit.text == "--gpu-memory-utilization 0.40 would fit here"


def test_a_shorter_context_is_suggested_where_the_whole_does_not_fit() -> None:
    card = gpu(0)
    fit = fit_into(vllm_service(card), reading(card), 24_000, [reading(card)], {})
    assert fit is not None
    (util, context) = fit.edits
    assert (util.argument, context.argument) == ("--gpu-memory-utilization", "--max-model-len")
    shorter = vllm_service(card, "--max-model-len", str(context.value))
    assert shorter.requirement.minimum_mib is not None
    assert shorter.requirement.minimum_mib <= float(util.value or 0) * TOTAL
    longer = vllm_service(card, "--max-model-len", str(int(context.value or 0) + 256))
    assert longer.requirement.minimum_mib is not None
    assert longer.requirement.minimum_mib > float(util.value or 0) * TOTAL


def test_nothing_is_suggested_where_nothing_fits() -> None:
    card = gpu(0)
    assert fit_into(vllm_service(card), reading(card), 9_000, [reading(card)], {card.uuid: 9000}) is None


def test_a_budget_reaches_vllm_as_its_fraction() -> None:
    card = gpu(0)
    one = service("llm", card, backend="vllm", budget_mib=20 * GIB, budget_env=None)
    assert [(edit.argument, edit.value) for edit in all_edits(one, [card])] == [("--gpu-memory-utilization", "0.25")]
    assert all_edits(service("x", card, budget_mib=20 * GIB), [card]) == ()


@pytest.mark.parametrize(
    ("value", "mib"), [("6.8", 6963), ("nan", None), ("-3", None), ("1e99", None), ("", None), ("x", None)]
)
def test_a_budget_in_the_environment_is_what_it_may_take(value: str, mib: int | None) -> None:
    assert environment_budget(Launch(settings=(("VRAM_BUDGET_GB", value),))) == mib


# --- what is remembered ---------------------------------------------------------------------------------------------


def running(health: str | None, started: str = "1970-01-01T00:00:00Z", has_healthcheck: bool = True) -> Service:
    card = gpu(0)
    made = container("llm", card, health=health, started_at=started, has_healthcheck=has_healthcheck)
    return service("llm", card, container=made, running_on=(card.uuid,))


def seen(mib: int | None) -> list[object]:
    return [reading(gpu(0), process(1, mib, container="llm".ljust(64, "0")))]


def test_the_peak_of_a_healthy_service_is_remembered() -> None:
    one = running("healthy")
    key = peak_key(one.image, one.launch, 1, gpu(0).memory_total_mib)
    assert key is not None
    assert new_peaks([one], seen(9000), {}) == {key: 9000}  # type: ignore[arg-type]
    assert new_peaks([one], seen(9000), {key: 9500}) == {}  # type: ignore[arg-type]
    assert new_peaks([one], seen(9600), {key: 9500}) == {key: 9600}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "one",
    [
        pytest.param(running("starting"), id="still loading"),
        pytest.param(running("unhealthy"), id="unhealthy"),
        pytest.param(running(None, "1970-01-01T00:15:40Z", has_healthcheck=False), id="started a minute ago"),
        pytest.param(running(None, "nonsense", has_healthcheck=False), id="start not known"),
    ],
)
def test_what_a_service_holds_while_it_loads_is_no_peak(one: Service) -> None:
    assert new_peaks([one], seen(9000), {}) == {}  # type: ignore[arg-type]


def test_an_unknown_amount_is_no_peak() -> None:
    assert new_peaks([running("healthy")], seen(None), {}) == {}  # type: ignore[arg-type]


def test_other_arguments_are_another_service() -> None:
    first = peak_key("x", Launch(words=("a",)), 1, 100)
    assert first != peak_key("x", Launch(words=("b",)), 1, 100)
    assert first != peak_key("x", Launch(words=("a",)), 2, 100)
    assert first != peak_key("x", Launch(words=("a",)), 1, 200)
    assert peak_key("x", Launch(), 1, None) is None


def test_peaks_survive_a_restart(tmp_path: Path) -> None:
    from gputui.controller.store import Store

    key = peak_key("x", Launch(words=("a",)), 1, 100)
    assert key is not None
    Store(tmp_path).peaks.remember({key: 50})
    Store(tmp_path).peaks.remember({key: 40})
    assert Store(tmp_path).peaks.all() == {key: 50}


def test_serving_without_any_option() -> None:
    assert serving_of("generic", Launch(), 1) == Serving(world=None)
