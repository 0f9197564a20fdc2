"""People who share a server have services of the same name, each in a project of their own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from gputui.compose.generated import assignments_text
from gputui.controller.local_controller import LocalController
from gputui.domain.assignment import Assignments
from gputui.domain.assignment_difference import revision_difference
from gputui.domain.errors import UsageError
from gputui.domain.gpu import labels_by_uuid
from gputui.domain.service import Service, TypedEdit, called
from gputui.state.file_io import packaged
from gputui.state.state_file import read_assignments
from tests.app.conftest import Opening, open_controller  # noqa: F401 - a fixture
from tests.builders import words


def of_compose(project: str, gpu: str, **values: object) -> dict[str, object]:
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": "llm"}
    container = {"name": f"{project}-llm-1", "image": "ai/llm:1", "gpus": [gpu], "memory_mib": 900, "load_s": 1}
    return {**container, "labels": labels, **values}


@pytest.fixture
def controller(open_controller: Opening, tmp_path: Path) -> LocalController:  # noqa: F811
    """Alice's llm can be moved, bob's fails to start, and a plain container has the name too."""
    scenario = yaml.safe_load((packaged("configs") / "scenarios" / "h100-server.yaml").read_text())
    gpus = [one["gpu"]["uuid"] for one in scenario["gpus"]]
    plain = {"name": "llm", "image": "ai/llm:1", "gpus": [gpus[2]], "memory_mib": 900, "load_s": 1}
    scenario["containers"] = [
        of_compose("alice", gpus[0]), of_compose("bob", gpus[1], fails="no such model"), plain,
    ]  # fmt: skip
    path = tmp_path / "same-names.yaml"
    path.write_text(yaml.safe_dump(scenario))
    return open_controller(str(path))


def services(controller: LocalController) -> Sequence[Service]:
    return controller.watch.snapshot().services


def test_each_is_called_by_its_project(controller: LocalController) -> None:
    assert [one.name for one in services(controller)] == ["/llm", "alice/llm", "bob/llm"]


@pytest.mark.parametrize("name", ["/llm", "alice/llm", "bob/llm"])
def test_each_is_found_by_what_it_is_called(controller: LocalController, name: str) -> None:
    assert called(services(controller), name).key.full_name == name


def test_the_name_alone_is_refused_with_what_to_say(controller: LocalController) -> None:
    with pytest.raises(UsageError, match="several services are called") as refused:
        called(services(controller), "llm")
    assert refused.value.fix == "say /llm or alice/llm or bob/llm"


def test_what_came_of_an_apply_is_told_of_each(controller: LocalController) -> None:
    alice, bob = (called(services(controller), name) for name in ("alice/llm", "bob/llm"))
    controller.draft.edit([alice.key, bob.key], TypedEdit(gpus="7"), adopt=True)
    controller.draft.save(words("move both"))
    record = controller.history.record(controller.applies.begin(controller.applies.plan(), words("move both")))
    assert record.services["alice/llm"] == "done"
    assert record.services["bob/llm"] in ("rolled_back", "not begun")


def test_the_previous_log_is_the_services_own(controller: LocalController) -> None:
    alice, bob = (called(services(controller), name) for name in ("alice/llm", "bob/llm"))
    controller.draft.edit([alice.key], TypedEdit(gpus="7"), adopt=True)
    controller.draft.save(words("move alice's"))
    controller.applies.begin(controller.applies.plan(), words("move alice's"))
    assert controller.logs.previous(alice.key)
    assert not controller.logs.previous(bob.key)


def test_a_finding_is_about_one_of_them(controller: LocalController) -> None:
    alice = called(services(controller), "alice/llm")
    controller.draft.edit([alice.key], TypedEdit(gpus="none"), adopt=True)
    assert {one.service for one in controller.applies.plan().findings} == {"alice/llm"}


def test_what_was_written_down_is_found_when_names_are_shared_later_or_no_more(controller: LocalController) -> None:
    alice = called(services(controller), "alice/llm")
    assert alice.was_called("alice/llm")
    assert not alice.was_called("llm"), "it may have been bob's"
    alone = replace(alice, shares_name=False)
    assert alone.was_called("llm") and alone.was_called("alice/llm")


def test_the_file_beside_the_compose_file_holds_both_and_is_read_back(controller: LocalController) -> None:
    alice, bob = (called(services(controller), name) for name in ("alice/llm", "bob/llm"))
    controller.draft.edit([alice.key], TypedEdit(gpus="7"), adopt=True)
    controller.draft.edit([bob.key], TypedEdit(gpus="6"), adopt=True)
    saved = controller.draft.save(words("both"))
    gpus = controller.watch.snapshot().inventory.gpus
    written = yaml.safe_load(assignments_text(saved, gpus))
    assert written["assignments"].keys() == {"/llm", "alice/llm", "bob/llm"}
    keys = [one.key for one in services(controller)]
    read = read_assignments(written, keys, saved, gpus, "alice")
    assert read.skipped == ()
    assert {item.key: item.gpus for item in read.assignments.items} == {item.key: item.gpus for item in saved.items}


def test_a_name_in_the_file_that_may_mean_several_is_told_and_not_guessed(controller: LocalController) -> None:
    keys = [one.key for one in services(controller)]
    gpus = controller.watch.snapshot().inventory.gpus
    read = read_assignments({"assignments": {"llm": {"gpus": ["3"]}}}, keys, Assignments(), gpus, "alice")
    assert read.assignments.items == ()
    assert read.skipped == ("llm: it may be /llm or alice/llm or bob/llm",)


def test_the_difference_of_two_revisions_says_whose_it_is(controller: LocalController) -> None:
    alice, bob = (called(services(controller), name) for name in ("alice/llm", "bob/llm"))
    controller.draft.edit([alice.key, bob.key], TypedEdit(gpus="6"), adopt=True)
    one = controller.draft.save(words("both"))
    controller.draft.edit([alice.key], TypedEdit(gpus="7"), adopt=False)
    lines = revision_difference(
        one, controller.draft.save(words("alice's")), labels_by_uuid(controller.watch.snapshot().inventory.gpus)
    )
    assert lines == ("alice/llm: GPUs 6 → 7",)
