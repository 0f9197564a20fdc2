"""What an engine says in its log that it took is read, kept, and shown beside what was predicted."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.asked import service, told
from tests.lab.conftest import Lab, compose_file
from tests.lab.driver import uuid_of
from tests.planning.reported.models import LLAMA32_1B, decoder

pytestmark = pytest.mark.lab

SAYS = (
    "INFO 11-24 09:13:20 [gpu_model_runner.py:5089] Model loading took 2.35 GiB memory and 5.2 seconds",
    "INFO 11-24 09:13:41 [gpu_worker.py:772] Available KV cache memory: 54.63 GiB",
    "INFO 11-24 09:13:41 [kv_cache_utils.py:864] GPU KV cache size: 447,408 tokens",
)


def test_what_it_took_is_read_from_its_log_and_kept(lab: Lab) -> None:
    lab.engine.make_image("vllm/vllm-openai:v0.11.0")
    model = decoder(lab.home / "m", LLAMA32_1B, tied=True)
    said = "; ".join(f"echo '{line}'" for line in SAYS)
    body: dict[str, Any] = {
        "image": "vllm/vllm-openai:v0.11.0",
        "entrypoint": ["sh", "-c", f"{said}; exec /workload serve /models/q --max-model-len 4096"],
        "volumes": [f"{model}:/models/q:ro"],
        "stop_grace_period": "1s",
        "healthcheck": {"test": ["CMD-SHELL", "true"], "interval": "1s"},
        "gpus": [{"device_ids": [uuid_of(1)], "capabilities": ["gpu"]}],
    }
    path: Path = compose_file(lab, yaml.safe_dump({"name": "ai", "services": {"llm": body}}))
    file = ("--file", str(path))
    assert lab.gputui(*file, "apply", "--yes").returncode == 0
    lab.loaded("ai-llm-1")
    memory = service(lab, "llm", *file)["memory"]
    assert memory["measured"]["weights_mib"] == round(2.35 * 1024)
    assert memory["measured"]["cache_tokens"] == 447_408
    assert memory["predicted"]["weights_mib"] == pytest.approx(2357, abs=2)
    assert abs(memory["error"]) < 0.03
    checks = json.dumps(told(lab, *file, "doctor"))
    assert "weights of 1 services were predicted with a mean error of" in checks
    lab.engine.client().containers.get("ai-llm-1").remove(force=True)
    assert service(lab, "llm", *file)["memory"]["measured"] is not None, "it is remembered"
