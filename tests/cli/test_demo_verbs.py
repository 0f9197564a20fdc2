"""The verbs on the simulated server: their JSON, their exit codes, their errors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def gputui(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gputui", *arguments],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL, **options,
    )  # fmt: skip


def as_json(*arguments: str) -> dict[str, Any]:
    done = gputui(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("scenario", ["workstation", "h100-server", "mixed-server"])
def test_every_scenario_is_a_whole_server_with_nothing_to_do(scenario: str) -> None:
    assert len(as_json(f"--demo={scenario}", "gpus")["gpus"]) >= 2
    assert len(as_json(f"--demo={scenario}", "services")["services"]) >= 4
    assert as_json(f"--demo={scenario}", "plan")["steps"] == []


def test_the_workstation_is_that_of_its_design() -> None:
    gpus = as_json("--demo", "workstation", "gpus")["gpus"]
    assert [(one["name"], one["memory_total_mib"]) for one in gpus] == [
        ("NVIDIA RTX A5500", 24564),
        ("NVIDIA RTX A400", 4094),
    ]
    names = {one["name"] for one in as_json("--demo=workstation", "services")["services"]}
    assert names == {"ai-llm", "ai-yolo26", "ai-florence", "ai-clip", "ai-enrichment"}


def test_a_too_big_service_on_the_small_card_is_warned_about() -> None:
    done = gputui("--demo=workstation", "assign", "ai-llm", "--gpus", "1", "--yes")
    assert done.returncode == 0
    assert "ai-llm needs 17.8 GiB (observed); GPU 1 has 3.9 GiB in all" in done.stdout


def test_auto_takes_the_gpu_with_the_most_room() -> None:
    done = gputui("--demo", "assign", "ai-rerank", "--gpus", "auto", "--yes")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "saved as revision 2")


def test_every_json_object_has_its_version() -> None:
    for verb in ("gpus", "services", "processes", "findings", "status", "plan", "history"):
        assert as_json("--demo", verb)["schema_version"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--demo=nowhere", "gpus"], "there is no scenario “nowhere”"),
        (["--demo", "assign", "ai-llm", "--gpus", "9", "--yes"], "there is no GPU “9”"),
        (["--demo", "assign", "ai-llm", "--gpus", "1,1", "--yes"], "GPU 1 is named twice"),
        (["--demo", "assign", "ai-llm", "--budget", "much", "--yes"], "budget: “much” is not a size"),
        (["--demo", "assign", "ai-llm", "--yes"], "nothing to assign"),
        (["--demo", "assign", "nobody", "--gpus", "1", "--yes"], "there is no service “nobody”"),
        (["--demo", "assign", "ai-llm", "--gpus", "1"], "ai-llm is an unmanaged container"),
        (["--demo", "assign", "ai-llm", "--set", "x", "--yes"], "no option with a value"),
        (["--demo", "apply", "nobody", "--yes"], "there is no service “nobody”"),
        (["--demo", "restart", "ai-llm"], "Carry out 1 steps?"),
        (["--demo", "rollback", "--yes"], "there is no revision to go back to"),
        (["--demo", "--readonly", "assign", "ai-llm", "--gpus", "1", "--yes"], "--readonly"),
        (["--demo", "--file", "absent.yml", "plan"], "absent.yml does not exist"),
        (["--host", "unix:///x", "--context", "y", "gpus"], "both name an engine"),
        (["--interval", "often", "gpus"], "not a number of seconds"),
        (["frobnicate"], "invalid choice"),
        (["--demo", "--theme", "x"], "there is no theme"),
        (["--demo"], "needs a terminal"),
    ],
)
def test_bad_usage_is_told_in_two_lines_with_exit_2(arguments: list[str], message: str) -> None:
    done = gputui(*arguments)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
    assert "Traceback" not in done.stderr


def test_without_an_engine_gpus_are_still_shown_and_changes_refused(tmp_path: Path) -> None:
    done = gputui("services")
    assert done.returncode == 3
    assert f"the socket {tmp_path}/no-docker.sock does not exist" in done.stderr
    refused = gputui("apply", "--yes")
    assert refused.returncode == 3


def test_a_reader_that_leaves_is_no_error() -> None:
    script = f"{sys.executable} -m gputui --demo --interval 0.25 gpus --json --watch | head -n 1"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(done.stdout)["gpus"]
    assert "Traceback" not in done.stderr


def test_an_apply_on_the_simulated_server_streams_and_ends() -> None:
    # Each command has a server of its own, so one command has to do it all.
    done = gputui("--demo", "restart", "ai-rerank", "--yes", "--json", "--settle", "0.5")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert lines[-1]["result"] == "done"
    assert [line["text"] for line in lines if line.get("kind") == "operation" and line["progress"] == "done"][:2] == [
        "see that it could be started again",
        "stop it",
    ]


def test_clean_on_a_state_with_nothing_old_says_so(tmp_path: Path) -> None:
    done = gputui("--demo", "clean")
    assert done.returncode == 0, done.stderr
    assert "There is nothing to remove" in done.stdout
    assert as_json("--demo", "clean")["removed"] == {"applies": 0, "revisions": 0, "logs": 0}


def test_clean_refuses_a_number_that_is_none() -> None:
    done = gputui("--demo", "clean", "--applies", "0")
    assert done.returncode == 2
    assert "'0' is not a whole number from 1" in done.stderr


def test_auto_takes_as_many_gpus_as_an_argument_of_the_same_call_asks_for() -> None:
    words = ("assign", "ai-llm", "--gpus", "auto", "--set=--tensor-parallel-size=2", "--yes")
    said = as_json("--demo=h100-server", *words)
    assert len(said["service"]["assigned"]) == 2
    assert said["revision"] == 2
    assert "too-few-gpus" not in {one["code"] for one in said["findings"]}


def test_add_tells_as_json_what_it_wrote(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  web:\n    image: nginx\n")
    said = as_json("--demo", "--file", str(file), "add", "llm", "--image", "vllm/vllm-openai:v0.11.0", "--yes")
    assert said["service"] == "llm"
    assert any("vllm-openai" in line for line in said["diff"])


def test_errors_that_stop_a_plan_and_an_apply_have_the_same_code(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services: {llm: {image: mine, x-gputui: {gpus: [17], vram: 3GiB}}}\n")
    assert gputui("--demo", "--file", str(file), "plan").returncode == 1
    stopped = gputui("--demo", "--file", str(file), "apply", "--yes")
    assert stopped.returncode == 1
    assert "GPU 17, which is not on this host" in stopped.stderr


def test_assignments_in_the_words_of_others_are_taken_in(tmp_path: Path) -> None:
    """`gpu` and `vram_budget` in GiB, as other generators of this file write them."""
    file = tmp_path / "gpu-assignments.yml"
    file.write_text(
        "generated_at: '2025-01-23T10:30:00Z'\nstrategy: vram_based\nassignments:\n"
        "  ai-llm: {gpu: 0, vram_budget: null}\n  ai-enrichment: {gpu: 1, vram_budget: 3.5}\n"
    )
    said = as_json("--demo=workstation", "import", str(file), "--yes")
    assert said["revision"] == 2, said


@pytest.mark.parametrize(
    "entry",
    [
        "{gpu: 0, vram_budget: much}",
        "{gpu: 0, vram_budget: -3}",
        "{gpu: [1, 2, {}]}",
        "{gpu: 0, gpus: [1]}",
        "{gpu: yes}",
    ],
)
def test_what_is_no_assignment_is_named(tmp_path: Path, entry: str) -> None:
    file = tmp_path / "gpu-assignments.yml"
    file.write_text(f"assignments:\n  ai-llm: {entry}\n")
    done = gputui("--demo=workstation", "import", str(file), "--yes")
    assert done.returncode == 2
    assert "ai-llm" in done.stderr
