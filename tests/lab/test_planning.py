"""What a service needs and where it should go, on the real engine and through the real NVML binding."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.lab.conftest import Lab, compose_file
from tests.lab.driver import StandInGpu, uuid_of
from tests.models.files import write_safetensors

pytestmark = pytest.mark.lab

BOX = """
services:
  ai-llm: {image: "workload:1", x-gputui: {vram: 21.7GiB, gpus: 0, priority: 10}}
  ai-yolo26: {image: "workload:1", x-gputui: {vram: 650MiB, gpus: 0}}
  ai-florence: {image: "workload:1", x-gputui: {vram: 1.5GiB, gpus: 0}}
  ai-clip: {image: "workload:1", x-gputui: {vram: 1.2GiB, gpus: 0}}
  ai-enrichment:
    image: workload:1
    environment: {VRAM_BUDGET_GB: "6.8", CLAIM_MIB: "100"}
    x-gputui: {vram: 6.8GiB, gpus: 1, budget_env: VRAM_BUDGET_GB}
"""

MODEL = {
    "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 2, "hidden_size": 64, "head_dim": 8,
    "intermediate_size": 128, "vocab_size": 100, "max_position_embeddings": 4096, "torch_dtype": "bfloat16",
}  # fmt: skip


def project(lab: Lab, text: str) -> tuple[str, ...]:
    return ("--file", str(compose_file(lab, text)))


def requirement(lab: Lab, file: tuple[str, ...], name: str) -> dict[str, Any]:
    services = lab.json(*file, "services")["services"]
    return dict(next(one for one in services if one["name"] == name)["requirement"])


def until(what: Callable[[], bool], limit_s: float = 20.0) -> None:
    end = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_box_gets_the_plan_that_greedy_misses_and_the_container_its_new_budget(lab: Lab) -> None:
    lab.driver.gpus = [
        StandInGpu(
            0, uuid_of(0), name="NVIDIA RTX A5500", total=24564, reserved=0, base=0, buswidth=384, memclock=8001
        ),
        StandInGpu(1, uuid_of(1), name="NVIDIA RTX A400", total=4094, reserved=0, base=0, buswidth=64, memclock=6001),
    ]
    lab.driver.write()
    file = project(lab, BOX)
    suggested = lab.json(*file, "suggest", "--strategy", "vram")
    assert suggested["unplaced"] == []
    places = {name: one["indices"] for name, one in suggested["assignments"].items()}
    assert places == {"ai-llm": [0], "ai-florence": [0], "ai-yolo26": [0], "ai-clip": [1], "ai-enrichment": [1]}
    assert suggested["assignments"]["ai-enrichment"]["budget_mib"] == 4094 - int(1.2 * 1024)
    assert all(one["free_after_mib"] >= 0 for one in suggested["gpus"])

    saved = lab.gputui(*file, "suggest", "--strategy", "vram", "--save", "--yes")
    assert "saved as revision" in saved.stdout, (saved.stdout, saved.stderr)
    assert lab.json(*file, "suggest", "--strategy", "vram")["moves"] == 0, "a second run moves nothing"
    applied = lab.gputui(*file, "apply", "ai-enrichment", "ai-clip", "--yes", "--settle", "1")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    environment = lab.process_environment("ai-ai-enrichment-1")
    assert environment["VRAM_BUDGET_GB"] == "2.7"
    assert lab.nodes("ai-ai-enrichment-1") == lab.nodes("ai-ai-clip-1") == {"nvidia1"}


def test_other_peoples_processes_are_planned_around(lab: Lab) -> None:
    file = project(lab, 'services:\n  a: {image: "workload:1", x-gputui: {vram: 40GiB}}\n')
    lab.driver.strangers = [(str(index), 1, 60_000) for index in range(5)]
    lab.driver.write()
    for strategy in ("vram", "latency", "isolation", "balanced"):
        suggested = lab.json(*file, "suggest", "--strategy", strategy)
        assert suggested["assignments"]["a"]["indices"] == [5], strategy


def test_weights_are_read_through_the_volumes_of_the_container(lab: Lab) -> None:
    models = lab.home / "models" / "tiny"
    models.mkdir(parents=True)
    (models / "config.json").write_text(json.dumps(MODEL))
    (models / "tokenizer.json").write_text('{"model": {"vocab": {"a": 1}}}')
    write_safetensors(models / "model.safetensors", [("model.layers.0.w", "BF16", (1024, 1024 * 1024))])
    text = f"""
services:
  llm:
    image: workload:1
    environment: {{CLAIM_MIB: "2500"}}
    volumes: ["{models.parent}:/models:ro"]
    x-gputui: {{backend: llama_cpp, model: /models/tiny, gpus: 0}}
"""
    file = project(lab, text)
    declared = requirement(lab, file, "llm")
    assert declared["source"] == "weights"
    assert 2048 <= declared["minimum_mib"] <= 2048 + 1200
    applied = lab.gputui(*file, "apply", "llm", "--yes", "--settle", "1")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    assert lab.gputui(*file, "stop", "llm", "--yes").returncode == 0
    assert requirement(lab, file, "llm")["source"] == "weights", "also by the mounts that the engine lists"


def test_a_model_that_is_cut_off_stops_the_apply_before_anything_happens(lab: Lab) -> None:
    models = lab.home / "models" / "tiny"
    models.mkdir(parents=True)
    (models / "config.json").write_text(json.dumps(MODEL))
    (models / "model.safetensors").write_bytes(b"\x10")
    text = f"""
services:
  llm:
    image: workload:1
    volumes: ["{models.parent}:/models:ro"]
    x-gputui: {{backend: vllm, model: /models/tiny, gpus: 0}}
"""
    file = project(lab, text)
    applied = lab.gputui(*file, "apply", "llm", "--yes", "--settle", "1")
    assert applied.returncode == 1
    assert "model.safetensors is truncated" in applied.stderr
    assert lab.names() == {}


def test_what_a_healthy_service_held_is_remembered_after_it_stopped(lab: Lab) -> None:
    text = """
services:
  emb:
    image: workload:1
    environment: {CLAIM_MIB: "4096"}
    healthcheck: {test: [CMD, "true"], interval: 1s, timeout: 5s}
    x-gputui: {gpus: 2}
"""
    file = project(lab, text)
    assert requirement(lab, file, "emb") == {"minimum_mib": None, "claim_mib": None, "source": "unknown"}
    assert lab.gputui(*file, "apply", "emb", "--yes").returncode == 0
    lab.loaded("ai-emb-1")
    until(lambda: bool(lab.inspect("ai-emb-1")["State"]["Health"]["Status"] == "healthy"))
    assert requirement(lab, file, "emb")["claim_mib"] == 4096
    assert lab.gputui(*file, "stop", "emb", "--yes").returncode == 0
    remembered = requirement(lab, file, "emb")
    assert (remembered["claim_mib"], remembered["source"]) == (4096, "observed")


def test_an_option_in_a_script_is_changed_in_the_script(lab: Lab) -> None:
    script = "exec sleep 1000 # --gpu-memory-utilization 0.92"
    identity = lab.engine.run("llm", [uuid_of(0)], command=["sh", "-c", script])
    done = lab.gputui("assign", "llm", "--set=--gpu-memory-utilization=0.41", "--yes")
    assert done.returncode == 0, (done.stdout, done.stderr)
    applied = lab.gputui("apply", "llm", "--yes", "--settle", "1")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    assert lab.inspect("llm")["Id"] != identity
    assert lab.inspect("llm")["Config"]["Cmd"][-1] == "exec sleep 1000 # --gpu-memory-utilization 0.41"
    refused = lab.gputui("assign", "llm", "--set=--max-model-len=8192", "--yes")
    assert refused.returncode == 2
    assert "--max-model-len does not stand in it" in refused.stderr


def test_a_budget_reaches_vllm_by_its_own_flag_and_is_taken_back(lab: Lab) -> None:
    text = """
services:
  llm:
    image: workload:1
    command: [sh, -c, "exec sleep 1000 # --gpu-memory-utilization 0.9"]
    x-gputui: {backend: vllm, gpus: 0}
"""
    file = project(lab, text)
    assert lab.gputui(*file, "assign", "llm", "--budget", "20GiB").returncode == 0
    override = (lab.home / "ai" / "docker-compose.gpu-override.yml").read_text()
    assert "--gpu-memory-utilization 0.25" in override
    applied = lab.gputui(*file, "apply", "llm", "--yes", "--settle", "1")
    assert applied.returncode == 0, (applied.stdout, applied.stderr)
    assert lab.inspect("ai-llm-1")["Config"]["Cmd"][-1].endswith("--gpu-memory-utilization 0.25")
    assert "VRAM_BUDGET_GB" not in lab.process_environment("ai-llm-1")
    assert lab.gputui(*file, "assign", "llm", "--budget", "none").returncode == 0
    assert lab.gputui(*file, "apply", "llm", "--yes", "--settle", "1").returncode == 0
    assert lab.inspect("ai-llm-1")["Config"]["Cmd"][-1].endswith("--gpu-memory-utilization 0.9")


def test_bandwidth_and_islands_come_from_nvml(lab: Lab) -> None:
    peers = {0: "1", 1: "0", 2: "switch", 3: "switch"}
    lab.driver.gpus = [StandInGpu(index, uuid_of(index), links=peers.get(index, "")) for index in range(6)]
    lab.driver.write()
    gpus = lab.json("gpus")["gpus"]
    assert gpus[0]["memory_bandwidth_gb_s"] == 3352, "5120 bits × 2619 MHz × 2: an H100 SXM's 3.35 TB/s"
    islands = [one["island"] for one in gpus]
    assert islands[:4] == ["NVLink 0", "NVLink 0", "NVLink 1", "NVLink 1"]
    assert not any(str(island).startswith("NVLink") for island in islands[4:])
