"""What a container needs to be started again is checked before it is stopped: else nothing is left to go back to."""

import os
from collections.abc import Callable
from pathlib import Path

import docker.types
import pytest

from tests.lab.asked import chosen, findings, run_of, told, words
from tests.lab.conftest import Lab, file_with_fallback
from tests.lab.driver import StandInGpu, uuid_of

pytestmark = [pytest.mark.lab, pytest.mark.sampled]

LOST = "cannot-start-again"


def lose_network_container(lab: Lab, folder: Path, *, replaced: bool = False) -> str:
    identity = lab.engine.run("vpn", None)
    lab.engine.run("llm", [uuid_of(0)], network_mode="container:vpn")
    lab.engine.client().containers.get("vpn").remove(force=True)
    if replaced:
        lab.engine.run("vpn", None)
    return identity[:12]  # the engine keeps no other name of one that is gone


def lose_network_container_to_another(lab: Lab, folder: Path) -> str:
    return lose_network_container(lab, folder, replaced=True)


def lose_ipc_container(lab: Lab, folder: Path) -> str:
    identity = lab.engine.run("cache", None, ipc_mode="shareable")
    lab.engine.run("llm", [uuid_of(0)], ipc_mode="container:cache")
    lab.engine.client().containers.get("cache").remove(force=True)
    return identity[:12]


def stop_network_container(lab: Lab, folder: Path) -> str:
    lab.engine.run("vpn", None)
    lab.engine.run("llm", [uuid_of(0)], network_mode="container:vpn")
    lab.engine.client().containers.get("vpn").stop(timeout=2)
    return "vpn"


def stop_link_target(lab: Lab, folder: Path) -> str:
    lab.engine.run("db", None)
    lab.engine.run("llm", [uuid_of(0)], links={"db": "db"})
    lab.engine.client().containers.get("db").stop(timeout=2)
    return "db"


def lose_network(lab: Lab, folder: Path) -> str:
    network = lab.engine.client().networks.create("back")
    identity = lab.engine.run("llm", [uuid_of(0)], network="back")
    network.disconnect(identity, force=True)
    network.remove()
    return "back"


def lose_device(lab: Lab, folder: Path) -> str:
    node = Path(f"/dev/gputui-lab-{os.getpid()}")
    os.mknod(node, 0o666 | 0o020000, os.makedev(1, 3))
    try:
        lab.engine.run("llm", [uuid_of(0)], devices=[f"{node}:/dev/extra:rwm"])
        lab.loaded("llm")
    finally:
        node.unlink()
    return str(node)


def lose_mount(lab: Lab, folder: Path) -> str:
    source = folder / "models"
    source.mkdir()
    lab.engine.run("llm", [uuid_of(0)], mounts=[docker.types.Mount("/models", str(source), type="bind")])
    lab.loaded("llm")
    source.rmdir()
    return str(source)


def lose_device_of_volume(lab: Lab, folder: Path) -> str:
    source = folder / "share"
    source.mkdir()
    options = {"type": "none", "o": "bind", "device": str(source)}
    lab.engine.client().volumes.create(f"share-{folder.parent.name}", driver="local", driver_opts=options)
    where = {f"share-{folder.parent.name}": {"bind": "/share", "mode": "rw"}}
    lab.engine.run("llm", [uuid_of(0)], volumes=where)
    lab.loaded("llm")
    source.rmdir()
    return "share"


Loses = Callable[[Lab, Path], str]
LOSSES: tuple[Loses, ...] = (
    lose_network_container, lose_network_container_to_another, lose_ipc_container, stop_network_container,
    stop_link_target, lose_network, lose_device, lose_mount, lose_device_of_volume,
)  # fmt: skip


@pytest.fixture(params=LOSSES, ids=lambda loses: loses.__name__)
def lost(lab: Lab, request: pytest.FixtureRequest) -> str:
    """`llm` runs, and something that a start of it needs is not there any more: what."""
    what: str = request.param(lab, lab.home)
    lab.loaded("llm")
    return what


def runs_well(lab: Lab, gpu: int) -> bool:
    found = lab.inspect("llm")
    running: bool = found["State"]["Running"]
    # A container with a link that is down takes no `exec`.
    return running and lab.gpus_of("llm") == {str(gpu)}


def test_a_move_is_refused_or_made_on_what_replaced_it_before_anything_is_stopped(lab: Lab, lost: str) -> None:
    """containrrr/watchtower#1656: the container that lent its network was replaced; neither runs afterwards.

    Of the same kind: whatever else a start of the old container needs.
    """
    before = run_of(lab, "llm")
    assert lab.gputui("assign", "llm", "--gpus", "3", "--yes").returncode == 0
    plan = told(lab, "plan")
    done = lab.gputui("apply", "--yes", "--settle", "0.5")
    if done.returncode == 0:
        assert runs_well(lab, 3), "made on what replaced it"
        mode = lab.inspect("llm")["HostConfig"]["NetworkMode"]
        if mode.startswith("container:"):
            assert mode.removeprefix("container:") in (lab.names()["vpn"], "vpn")
        return
    assert run_of(lab, "llm") == before, "it was not even stopped"
    assert runs_well(lab, 0)
    assert set(lab.names()) - {"vpn", "db", "cache"} == {"llm"}
    assert done.returncode == 2, (done.stdout, done.stderr)
    refused = chosen(plan, LOST, "llm")
    assert refused and lost in words(refused), "the plan names what is missing"
    assert {one["severity"] for one in refused} <= {"error", "refusal"}


def test_a_restart_is_refused_before_anything_is_stopped(lab: Lab, lost: str) -> None:
    """containrrr/watchtower#1656, by the verb that only restarts."""
    before = run_of(lab, "llm")
    done = lab.gputui("restart", "llm", "--yes", "--settle", "0.5")
    if done.returncode == 0:
        assert runs_well(lab, 0)
        return
    assert run_of(lab, "llm") == before
    assert runs_well(lab, 0)
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert lost in done.stderr + done.stdout


@pytest.mark.parametrize("verb", ["apply", "restart"])
def test_a_folder_that_is_gone_is_named_before_an_empty_one_takes_its_place(lab: Lab, verb: str) -> None:
    """The engine makes the source of a bind anew where it is gone, empty: weights that were there are not any more."""
    source = lab.home / "weights"
    source.mkdir()
    (source / "model.safetensors").write_text("weights")
    lab.engine.run("llm", [uuid_of(0)], volumes={str(source): {"bind": "/weights", "mode": "ro"}})
    lab.loaded("llm")
    source.rename(lab.home / "elsewhere")
    before = run_of(lab, "llm")
    assert lab.gputui("assign", "llm", "--gpus", "3", "--yes").returncode == 0
    if verb == "apply":
        named = chosen(told(lab, "plan"), LOST, "llm")
        assert named and str(source) in words(named)
        done = lab.gputui("apply", "--yes", "--settle", "0.5")
    else:
        done = lab.gputui("restart", "llm", "--yes", "--settle", "0.5")
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert (run_of(lab, "llm"), source.exists()) == (before, False)
    assert lab.inside("llm", "ls", "/weights").split() == ["model.safetensors"]


def test_an_image_whose_tag_is_gone_is_still_that_of_the_container(lab: Lab) -> None:
    """Nothing names the image any more; the container has it all the same."""
    client = lab.engine.client()
    lab.engine.make_image("model:1")
    lab.engine.run("llm", [uuid_of(0)], image="model:1")
    lab.loaded("llm")
    was = lab.inspect("llm")["Image"]
    lab.engine.make_image("model:1", variables=("OTHER=1",))
    client.images.remove("model:1", noprune=True)
    assert lab.gputui("assign", "llm", "--gpus", "3", "--yes").returncode == 0
    done = lab.gputui("apply", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert (lab.inspect("llm")["Image"], lab.nodes("llm")) == (was, {"nvidia3"})


# --- a GPU that is gone ------------------------------------------------------------------------------------------


def on_a_gpu_that_goes(lab: Lab, policy: str) -> tuple[str, str]:
    """The service runs on GPU 3, which the driver loses while it does."""
    file = file_with_fallback(lab, 3, policy)
    assert lab.gputui(*file, "assign", "llm", "--gpus", "3", "--yes").returncode == 0
    assert lab.gputui(*file, "apply", "--yes", "--settle", "0.5").returncode == 0
    lab.loaded("ai-llm-1")
    return file


def lose_gpu(lab: Lab, index: int) -> None:
    lab.driver.gpus = [StandInGpu(one, uuid_of(one)) for one in range(6) if one != index]
    lab.driver.write()


@pytest.mark.parametrize("policy", ["never", "ask"])
def test_a_restart_onto_a_gpu_that_is_gone_is_refused_with_the_finding(lab: Lab, policy: str) -> None:
    """What still runs is not stopped for a start that cannot succeed."""
    file = on_a_gpu_that_goes(lab, policy)
    lose_gpu(lab, 3)
    before = run_of(lab, "ai-llm-1")
    assert findings(lab, *file, code="gpu-missing", service="llm")
    done = lab.gputui(*file, "restart", "llm", "--yes", "--settle", "0.5")
    assert run_of(lab, "ai-llm-1") == before, "it was not stopped"
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "GPU" in done.stderr


def test_a_start_onto_a_gpu_that_is_gone_is_refused_with_the_finding(lab: Lab) -> None:
    file = on_a_gpu_that_goes(lab, "never")
    assert lab.gputui(*file, "stop", "llm", "--yes").returncode == 0
    lose_gpu(lab, 3)
    done = lab.gputui(*file, "start", "llm", "--yes", "--settle", "0.5")
    assert done.returncode == 1, (done.stdout, done.stderr)
    assert lab.inspect("ai-llm-1")["State"]["Status"] == "exited"


def test_a_fallback_works_from_the_finding_alone(lab: Lab) -> None:
    """Nothing failed yet: that the GPU is gone is known from the driver."""
    file = on_a_gpu_that_goes(lab, "ask")
    lose_gpu(lab, 3)
    done = lab.gputui(*file, "fallback", "--yes", "--settle", "0.5")
    assert done.returncode == 0, (done.stdout, done.stderr)
    (node,) = lab.nodes("ai-llm-1")
    assert node != "nvidia3"


@pytest.mark.parametrize("policy", ["never", "ask", "auto"])
def test_a_restart_that_the_driver_refuses_is_told_and_falls_back(lab: Lab, policy: str) -> None:
    """NVML still lists the GPU, and the hook does not give it: only the start shows it."""
    file = on_a_gpu_that_goes(lab, policy)
    refuses = lab.folder / f"hook.refuses.{uuid_of(3)}"
    refuses.touch()
    try:
        done = lab.gputui(*file, "restart", "llm", "--yes", "--settle", "0.5")
        if policy == "never":
            assert done.returncode == 5, "there is nothing to go back to: it needs a person"
            assert findings(lab, *file, code="gpu-gone-at-start", service="llm")
            return
        if policy == "ask":
            assert done.returncode == 5
            done = lab.gputui(*file, "fallback", "--yes", "--settle", "0.5")
        assert done.returncode == 0, (done.stdout, done.stderr)
        (node,) = lab.nodes("ai-llm-1")
        assert node != "nvidia3"
    finally:
        refuses.unlink()
