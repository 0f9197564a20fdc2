"""People who share a server have services of the same name, each in a project of their own."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from gputui.control.local import LocalControlRoom
from gputui.domain.errors import UsageError
from gputui.domain.service import Service, TypedEdit, called
from gputui.project.packaged_files import packaged
from tests.app.conftest import Opening, open_room  # noqa: F401 - a fixture


def of_compose(project: str, gpu: str, **values: object) -> dict[str, object]:
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": "llm"}
    container = {"name": f"{project}-llm-1", "image": "ai/llm:1", "gpus": [gpu], "memory_mib": 900, "load_s": 1}
    return {**container, "labels": labels, **values}


@pytest.fixture
def room(open_room: Opening, tmp_path: Path) -> LocalControlRoom:  # noqa: F811
    """Alice's llm can be moved, bob's fails to start, and a plain container has the name too."""
    scenario = yaml.safe_load((packaged("configs") / "scenarios" / "h100-server.yaml").read_text())
    gpus = [one["gpu"]["uuid"] for one in scenario["gpus"]]
    plain = {"name": "llm", "image": "ai/llm:1", "gpus": [gpus[2]], "memory_mib": 900, "load_s": 1}
    scenario["containers"] = [
        of_compose("alice", gpus[0]), of_compose("bob", gpus[1], fails="no such model"), plain,
    ]  # fmt: skip
    path = tmp_path / "same-names.yaml"
    path.write_text(yaml.safe_dump(scenario))
    return open_room(str(path))


def services(room: LocalControlRoom) -> Sequence[Service]:
    return room.snapshot().services


def test_each_is_called_by_its_project(room: LocalControlRoom) -> None:
    assert [one.name for one in services(room)] == ["/llm", "alice/llm", "bob/llm"]


@pytest.mark.parametrize("name", ["/llm", "alice/llm", "bob/llm"])
def test_each_is_found_by_what_it_is_called(room: LocalControlRoom, name: str) -> None:
    assert called(services(room), name).key.full_name == name


def test_the_name_alone_is_refused_with_what_to_say(room: LocalControlRoom) -> None:
    with pytest.raises(UsageError, match="several services are called") as refused:
        called(services(room), "llm")
    assert refused.value.fix == "say /llm or alice/llm or bob/llm"


def test_what_came_of_an_apply_is_told_of_each(room: LocalControlRoom) -> None:
    alice, bob = (called(services(room), name) for name in ("alice/llm", "bob/llm"))
    room.edit([alice.key, bob.key], TypedEdit(gpus="7"), adopt=True)
    room.save("move both")
    record = room.record(room.apply(room.plan(), "move both"))
    assert record.services["alice/llm"] == "done"
    assert record.services["bob/llm"] in ("rolled_back", "not begun")


def test_the_previous_log_is_the_services_own(room: LocalControlRoom) -> None:
    alice, bob = (called(services(room), name) for name in ("alice/llm", "bob/llm"))
    room.edit([alice.key], TypedEdit(gpus="7"), adopt=True)
    room.save("move alice's")
    room.apply(room.plan(), "move alice's")
    assert room.previous_log(alice.key)
    assert not room.previous_log(bob.key)


def test_a_finding_is_about_one_of_them(room: LocalControlRoom) -> None:
    alice = called(services(room), "alice/llm")
    room.edit([alice.key], TypedEdit(gpus="none"), adopt=True)
    assert {one.service for one in room.plan().findings} == {"alice/llm"}
