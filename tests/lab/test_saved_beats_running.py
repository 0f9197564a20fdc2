"""What is saved is what everybody gets: gputui, and `docker compose` with the files that gputui wrote."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.lab.asked import chosen, docker_compose, findings, service, told, words
from tests.lab.conftest import GPUS, Lab, await_applies, compose_file
from tests.lab.driver import uuid_of

pytestmark = [pytest.mark.lab, pytest.mark.sampled]

OVERRIDE = "docker-compose.gpu-override.yml"
NAMES = ("llm", "embed", "rerank", "vision", "enrichment")
ALL = {"deploy": {"resources": {"reservations": {"devices": [{"driver": "nvidia", "count": "all"}]}}}}
ALL["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] = ["gpu"]  # type: ignore[assignment]


def written(lab: Lab, services: dict[str, Any]) -> tuple[Path, tuple[str, str]]:
    path = compose_file(lab, yaml.safe_dump({"name": "ai", "services": services}, sort_keys=False))
    return path, ("--file", str(path))


def of_everybody(**more: Any) -> dict[str, Any]:
    """What every service here has."""
    return {"image": "workload:1", "stop_grace_period": "1s", "environment": {"CLAIM_MIB": "64"}, **more}


def up(lab: Lab, path: Path, *arguments: str, files: tuple[str, ...] = ()) -> str:
    """`docker compose up` with gputui's override."""
    named = [part for name in (path.name, *files, OVERRIDE) for part in ("-f", name)]
    return docker_compose(lab, path.parent, *named, "up", "-d", "-t", "1", *arguments).stderr


def plan_is_empty(lab: Lab, file: tuple[str, ...]) -> None:
    assert [(one["service"], one["cause"]) for one in told(lab, *file, "plan")["steps"]] == []


@pytest.mark.parametrize("running", [True, False])
def test_the_override_gives_services_that_nobody_edited_what_the_table_says(lab: Lab, running: bool) -> None:
    """Five services with `count: all` in the file, each assigned one GPU by it: one is edited, another made anew."""
    services = {
        name: {**of_everybody(**ALL), "x-gputui": {"gpus": [gpu]}}
        for name, gpu in zip(NAMES, (0, 0, 1, 2, 3), strict=True)
    }
    path, file = written(lab, services)
    if running:
        assert lab.gputui(*file, "apply", "--yes", "--settle", "0.3").returncode == 0
        await_applies(lab.folder)
    assert lab.gputui(*file, "assign", "enrichment", "--gpus", "1", "--yes").returncode == 0
    if running:
        assert lab.gputui(*file, "apply", "--yes", "--settle", "0.3").returncode == 0
        await_applies(lab.folder)
    table = {one["name"]: set(one["assigned_indices"]) for one in told(lab, *file, "services")["services"]}
    assert table == {"llm": {0}, "embed": {0}, "rerank": {1}, "vision": {2}, "enrichment": {1}}
    up(lab, path, "--force-recreate", *(("llm",) if running else ()))
    for name, gpus in table.items():
        assert lab.nodes(f"ai-{name}-1") == {f"nvidia{gpu}" for gpu in gpus}, name
    plan_is_empty(lab, file)


def test_what_runs_otherwise_than_was_saved_is_a_step_of_the_plan(lab: Lab) -> None:
    """Made anew by `docker compose up` without the override, it has all GPUs: the plan puts that right."""
    services = {name: {**of_everybody(**ALL), "x-gputui": {"gpus": [gpu]}} for gpu, name in enumerate(NAMES[:2])}
    path, file = written(lab, services)
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.3").returncode == 0
    assert lab.gputui(*file, "assign", "embed", "--gpus", "4", "--yes").returncode == 0
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.3").returncode == 0
    await_applies(lab.folder)
    docker_compose(lab, path.parent, "up", "-d", "-t", "1", "--force-recreate")
    for name in ("llm", "embed"):
        assert len(lab.nodes(f"ai-{name}-1")) == GPUS
    assert {one["service"] for one in told(lab, *file, "plan")["steps"]} == {"llm", "embed"}
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.3").returncode == 0
    assert (lab.nodes("ai-llm-1"), lab.nodes("ai-embed-1")) == ({"nvidia0"}, {"nvidia4"})


# --- the driver's capabilities --------------------------------------------------------------------------------------

WANTED = ["gpu", "video", "compute", "utility"]
IN_WORDS = {"video", "compute", "utility"}


def capabilities(lab: Lab, name: str) -> tuple[set[str], set[str]]:
    """As the request has them, and as the process is told."""
    (request,) = lab.inspect(name)["HostConfig"]["DeviceRequests"]
    told_so = lab.process_environment(name).get("NVIDIA_DRIVER_CAPABILITIES", "").split(",")
    return {one for group in request["Capabilities"] for one in group}, set(told_so)


@pytest.mark.parametrize("key", ["gpus", "deploy"])
@pytest.mark.parametrize("caps", [WANTED, ["gpu", "graphics", "display"]])
def test_the_driver_capabilities_of_the_file_are_kept_everywhere(lab: Lab, key: str, caps: list[str]) -> None:
    """Without `video` there is no NVENC and no NVDEC, without `graphics` no Vulkan."""
    request = {"driver": "nvidia", "device_ids": ["1"], "capabilities": caps}
    asks = {"gpus": [request]} if key == "gpus" else {"deploy": {"resources": {"reservations": {"devices": [request]}}}}
    path, file = written(lab, {"llm": of_everybody(**asks)})
    docker_compose(lab, path.parent, "up", "-d")
    lab.loaded("ai-llm-1")
    theirs = capabilities(lab, "ai-llm-1")
    assert theirs == (set(caps), set(caps) - {"gpu"})
    docker_compose(lab, path.parent, "down", "-t", "1")
    for gpu in (1, 2):
        assert lab.gputui(*file, "assign", "llm", "--gpus", str(gpu), "--yes").returncode == 0
        assert lab.gputui(*file, "apply", "--yes", "--settle", "0.3").returncode == 0
        await_applies(lab.folder)
        assert capabilities(lab, "ai-llm-1") == theirs
        assert lab.nodes("ai-llm-1") == {f"nvidia{gpu}"}
    up(lab, path, "--force-recreate")
    assert capabilities(lab, "ai-llm-1") == theirs
    assert lab.nodes("ai-llm-1") == {"nvidia2"}


# --- several requests -----------------------------------------------------------------------------------------------


def requests(*listed: dict[str, Any]) -> dict[str, Any]:
    devices = [{"driver": "nvidia", "capabilities": ["gpu"], **one} for one in listed]
    return {"deploy": {"resources": {"reservations": {"devices": devices}}}}


SEVERAL: dict[str, tuple[tuple[dict[str, Any], ...], tuple[dict[str, Any], ...], set[int]]] = {
    "count and ids": (({"count": 1},), ({"device_ids": ["3"]},), {3}),
    "all and ids": (({"count": "all"},), ({"device_ids": ["3"]},), {3}),
    "ids and count": (({"device_ids": ["3"]},), ({"count": 1},), {0}),
    "ids and ids": (({"device_ids": ["3"]},), ({"device_ids": ["4", "5"]},), {4, 5}),
    "two in one file": (({"device_ids": ["2"]}, {"device_ids": ["5"]}), (), {5}),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_several_requests_are_shown_and_made_as_the_engine_takes_them(lab: Lab, case: str) -> None:
    """selfhost-ai#97: Compose merges lists of devices; the engine then gives what the last one says."""
    base, over, gets = SEVERAL[case]
    path, file = written(lab, {"llm": of_everybody(**requests(*base))})
    files: tuple[str, ...] = ()
    if over:
        (path.parent / "over.yml").write_text(yaml.safe_dump({"services": {"llm": requests(*over)}}))
        files, file = ("over.yml",), (*file, "--file", str(path.parent / "over.yml"))  # type: ignore[assignment]
    named = [part for name in (path.name, *files) for part in ("-f", name)]
    docker_compose(lab, path.parent, *named, "up", "-d")
    lab.loaded("ai-llm-1")
    assert lab.nodes("ai-llm-1") == {f"nvidia{gpu}" for gpu in gets}, "what the engine gives"
    wanted = sorted(uuid_of(gpu) for gpu in gets)
    row = service(lab, "llm", *file)
    assert (sorted(row["requested"]), sorted(row["assigned"])) == (wanted, wanted)
    assert row["drift"] == []
    assert [one["severity"] for one in findings(lab, *file, code="several-requests", service="llm")] == ["warning"]
    plan_is_empty(lab, file)
    docker_compose(lab, path.parent, "down", "-t", "1")
    row = service(lab, "llm", *file)
    assert sorted(row["assigned"]) == wanted
    assert findings(lab, *file, code="several-requests", service="llm")
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.3").returncode == 0
    assert lab.nodes("ai-llm-1") == {f"nvidia{gpu}" for gpu in gets}


def test_several_requests_of_a_plain_container_are_shown_as_the_engine_takes_them(lab: Lab) -> None:
    """selfhost-ai#97, without any file."""
    api: Any = lab.engine.client().api
    asked = [{"Count": 2, "Capabilities": [["gpu"]]}, {"DeviceIDs": ["4"], "Capabilities": [["gpu"]]}]
    body = {"Image": "workload:1", "Env": ["CLAIM_MIB=64"], "HostConfig": {"DeviceRequests": asked}}
    api.start(api.create_container_from_config(body, name="llm")["Id"])
    lab.loaded("llm")
    row = service(lab, "llm")
    assert (lab.nodes("llm"), row["requested"]) == ({"nvidia4"}, [uuid_of(4)])
    assert chosen(told(lab, "findings"), "several-requests", "llm")
    assert row["drift"] == []


# --- budgets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["up", "up --force-recreate"])
def test_a_plan_is_empty_once_compose_made_a_service_with_its_budget(lab: Lab, by: str) -> None:
    """What is inside is compared, and not a label that only gputui writes."""
    body = of_everybody(**requests({"device_ids": ["1"]}))
    body["environment"]["VRAM_BUDGET_GB"] = "6.8"
    path, file = written(lab, {"llm": body | {"x-gputui": {"vram": "6.8GiB", "budget_env": "VRAM_BUDGET_GB"}}})
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.3").returncode == 0
    await_applies(lab.folder)
    plan_is_empty(lab, file)
    assert lab.gputui(*file, "assign", "llm", "--budget", "3.5GiB", "--yes").returncode == 0
    up(lab, path, *by.split()[1:])
    assert lab.process_environment("ai-llm-1")["VRAM_BUDGET_GB"] == "3.5"
    plan_is_empty(lab, file)
    assert not findings(lab, *file, code="differs-from-file")
    # And the other way: taken back, it is a step again.
    assert lab.gputui(*file, "assign", "llm", "--budget", "none").returncode == 0
    (step,) = told(lab, *file, "plan")["steps"]
    assert step["action"] == "recreate"
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.3").returncode == 0
    assert lab.process_environment("ai-llm-1")["VRAM_BUDGET_GB"] == "6.8"
    plan_is_empty(lab, file)


def test_a_changed_argument_that_compose_made_is_no_step_either(lab: Lab) -> None:
    """The same for arguments: the override has the whole command."""
    lab.engine.make_image("vllm/vllm-openai:1")
    body = of_everybody(**requests({"device_ids": ["1"]}), command=["/workload", "--max-model-len", "4096"])
    path, file = written(lab, {"llm": body | {"image": "vllm/vllm-openai:1", "x-gputui": {"vram": "2GiB"}}})
    assert lab.gputui(*file, "assign", "llm", "--set=--max-model-len=8192", "--yes").returncode == 0
    up(lab, path)
    assert lab.inspect("ai-llm-1")["Config"]["Cmd"] == ["/workload", "--max-model-len", "8192"]
    plan_is_empty(lab, file)


def test_the_words_of_a_finding_name_what_contradicts(lab: Lab) -> None:
    path, file = written(lab, {"llm": of_everybody(**requests({"device_ids": ["2"]}, {"device_ids": ["5"]}))})
    said = words(findings(lab, *file, code="several-requests", service="llm"))
    assert "5" in said and "2" in said
    assert path.name in said or "compose" in said
