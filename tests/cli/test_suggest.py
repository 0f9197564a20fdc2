"""`suggest` on the simulated servers."""

import json
from pathlib import Path

import pytest

from tests.cli.test_demo_verbs import as_json, gputui

STRATEGIES = ("vram", "latency", "isolation", "balanced")


@pytest.mark.parametrize("scenario", ["workstation", "h100-server", "mixed-server"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_nothing_overfills_and_nothing_is_left_out(scenario: str, strategy: str) -> None:
    found = as_json(f"--demo={scenario}", "suggest", "--adopt", "--strategy", strategy)
    assert found["strategy"] == strategy
    assert found["unplaced"] == []
    names = {one["name"] for one in as_json(f"--demo={scenario}", "services")["services"]}
    assert set(found["assignments"]) == names
    assert all(one["free_after_mib"] >= 0 for one in found["gpus"])
    for one in found["assignments"].values():
        assert len(one["gpus"]) == len(one["indices"]) > 0


def test_what_was_only_found_stays_where_it_is() -> None:
    found = as_json("--demo", "suggest", "--strategy", "balanced")
    assert found["moves"] == 0
    assert len(found["fixed"]) == 6
    assert found["assignments"]["ai-vision"]["indices"] == [4, 5]


def test_without_a_strategy_all_are_compared() -> None:
    done = gputui("--demo", "suggest", "--adopt")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:6]] == ["manual", *STRATEGIES]
    assert [one["strategy"] for one in as_json("--demo", "suggest")["suggestions"]] == ["manual", *STRATEGIES]


def test_saving_takes_one_over() -> None:
    done = gputui("--demo=workstation", "suggest", "--adopt", "--strategy", "balanced", "--save", "--yes")
    assert done.returncode == 0
    assert "saved as revision 2" in done.stdout


def test_saving_asks_first() -> None:
    done = gputui("--demo=workstation", "suggest", "--adopt", "--strategy", "balanced", "--save")
    assert done.returncode == 2
    assert "say --yes" in done.stderr


def test_a_reserve_is_kept() -> None:
    found = as_json("--demo", "suggest", "--adopt", "--strategy", "vram", "--reserve", "4GiB")
    assert found["reserve_mib"] == 4096
    assert all(one["free_after_mib"] >= 4096 for one in found["gpus"])


def test_what_runs_keeps_its_place_where_the_reserve_leaves_it_none() -> None:
    found = as_json("--demo=workstation", "suggest", "--adopt", "--strategy", "vram", "--reserve", "6GiB")
    assert "ai-llm" in [one["service"] for one in found["unplaced"]]
    assert "it stays where it runs" in next(one["reason"] for one in found["unplaced"] if one["service"] == "ai-llm")
    assert found["gpus"][0]["planned_mib"] >= 18200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--strategy", "best"), "invalid choice"),
        (("--reserve", "lots"), "is not a size"),
        (("--reserve", "-1"), "is not a size"),
        (("--save",), "--save needs to know what to save"),
    ],
)
def test_bad_usage_is_one_clear_line(arguments: tuple[str, ...], words: str) -> None:
    done = gputui("--demo", "suggest", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 2


def test_a_simulated_server_writes_nothing_beside_a_real_file(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  a: {image: x, x-gputui: {vram: 1GiB, gpus: 0}}\n")
    done = gputui("--demo", "--file", str(file), "assign", "a", "--gpus", "1")
    assert done.returncode == 0, done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["compose.yaml"]


def test_findings_carry_the_change_that_would_help(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text(
        "services:\n  a:\n    image: vllm/vllm-openai\n    command: [--model, x/y-7B, -tp, '2']\n"
        "    shm_size: 16gb\n    x-gputui: {gpus: [4]}\n"
    )
    done = gputui("--demo", "--file", str(file), "findings", "--json")
    assert done.returncode == 1
    (error,) = [one for one in json.loads(done.stdout)["findings"] if one["severity"] == "error"]
    assert (error["code"], error["service"]) == ("too-few-gpus", "a")
    assert error["edits"][0]["argument"] == "--tensor-parallel-size"
    assert error["edits"][0]["value"] == "1"


def test_ten_megabytes_of_yaml_are_read_in_bounded_time(tmp_path: Path) -> None:
    file = tmp_path / "compose.yaml"
    file.write_text("services:\n  a: {image: x, x-gputui: {gpus: 0}}\nx-more:\n" + "  - " + "y" * 100 + "\n" * 1)
    with file.open("a") as out:
        out.writelines("  - " + "z" * 1000 + "\n" for _ in range(10_000))
    done = gputui("--demo", "--file", str(file), "services", "--json")
    assert done.returncode in (0, 2)
    assert "Traceback" not in done.stderr
