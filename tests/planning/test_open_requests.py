"""Files that ask for a number of GPUs and name none: nobody is warned of GPUs that nobody chose."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from gputui.compose.files import ComposeFiles
from gputui.compose.reading import read_project
from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.service import Service, ServiceKey
from gputui.planning.findings.find_all import find_all
from gputui.planning.memory_shares import memory_of_all
from gputui.planning.services import Joined, World, join_services
from tests.builders import gpu, reading

HOST = [gpu(index) for index in range(4)]
KEY = ServiceKey("host", "ai", "llm")


def world(
    folder: Path,
    count: str,
    used_mib: Sequence[int],
    gpus: Sequence[Gpu] = HOST,
    *,
    image: str = "mine:1",
    gib: int = 30,
) -> World:
    """A service of a file that declares so much, on a host of these GPUs with so much in use by others."""
    path = folder / "compose.yml"
    devices = f"[{{driver: nvidia, count: {count}, capabilities: [gpu]}}]"
    path.write_text(
        f"name: ai\nservices:\n  llm:\n    image: {image}\n    x-gputui: {{vram: {gib}GiB}}\n"
        f"    deploy: {{resources: {{reservations: {{devices: {devices}}}}}}}\n"
    )
    readings = tuple(reading(one, used=used) for one, used in zip(gpus, used_mib, strict=True))
    return World(
        host="host", gpus=gpus, readings=readings, containers=(), project=read_project(ComposeFiles((path,)), None),
        path_aliases={}, files={}, peaks={}, measured={}, inside={}, loading={}, images={}, default_runtime="runc",
    )  # fmt: skip


def codes(joined: Joined, readings: Sequence[Reading]) -> set[str]:
    memory = memory_of_all(readings, joined.services)
    return {one.code for one in find_all(joined.services, HOST, readings, memory)}


def only(joined: Joined) -> Service:
    (service,) = joined.services
    return service


def places(service: Service) -> list[int]:
    return sorted(one.index for one in HOST if one.uuid in service.assigned)


def test_it_gets_those_with_room_and_not_the_first(tmp_path: Path) -> None:
    host = world(tmp_path, "2", [70_000, 1_000, 70_000, 2_000])
    joined = join_services(host, Assignments())
    assert only(joined).any_gpus == 2
    assert places(only(joined)) == [1, 3]
    assert codes(joined, host.readings) == {"any-gpus"}


def test_they_stay_while_it_fits_on_them(tmp_path: Path) -> None:
    before = join_services(world(tmp_path, "1", [70_000, 1_000, 2_000, 3_000]), Assignments())
    assert places(only(before)) == [1]
    after = join_services(world(tmp_path, "1", [70_000, 9_000, 0, 0]), Assignments(), before)
    assert places(only(after)) == [1]


def test_they_are_others_once_it_no_longer_fits(tmp_path: Path) -> None:
    before = join_services(world(tmp_path, "1", [70_000, 1_000, 2_000, 3_000]), Assignments())
    after = join_services(world(tmp_path, "1", [70_000, 60_000, 2_000, 3_000]), Assignments(), before)
    assert places(only(after)) == [2]


def test_where_it_fits_nowhere_that_is_told(tmp_path: Path) -> None:
    host = world(tmp_path, "2", [70_000] * 4)
    joined = join_services(host, Assignments())
    assert codes(joined, host.readings) == {"any-gpus", "foreign-memory"}


def test_where_it_fitted_nowhere_a_place_is_found_once_there_is_one(tmp_path: Path) -> None:
    before = join_services(world(tmp_path, "1", [70_000] * 4), Assignments())
    after = join_services(world(tmp_path, "1", [70_000, 70_000, 70_000, 1_000]), Assignments(), before)
    assert places(only(after)) == [3]


def test_more_than_the_host_has_is_an_error(tmp_path: Path) -> None:
    host = world(tmp_path, "5", [0] * 4)
    joined = join_services(host, Assignments())
    memory = memory_of_all(host.readings, joined.services)
    (found,) = (one for one in find_all(joined.services, HOST, host.readings, memory) if one.code == "any-gpus")
    assert (found.severity, found.text) == ("error", "llm asks for any 5 GPUs; this host has 4")


def test_what_was_saved_is_no_longer_open(tmp_path: Path) -> None:
    """Nor does it change with what is free, or the override file would say otherwise than the table."""
    saved = Assignments(items=(Assignment(key=KEY, gpus=(HOST[2].uuid,)),))
    service = only(join_services(world(tmp_path, "1", [0, 0, 40_000, 0]), saved))
    assert (service.any_gpus, places(service)) == (None, [2])


def test_all_is_no_open_request(tmp_path: Path) -> None:
    service = only(join_services(world(tmp_path, "all", [0] * 4), Assignments()))
    assert (service.any_gpus, places(service)) == (None, [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("count", "options"), [(2, ""), (4, "--tensor-parallel-size 2"), (1, "--tensor-parallel-size 2")]
)
def test_it_gets_as_many_as_its_file_says_whatever_its_engine_makes_of_them(
    tmp_path: Path, count: int, options: str
) -> None:
    host = world(
        tmp_path, str(count), [0] * 4, image=f"vllm/vllm-openai:v0.11.0\n    command: --model a/b-7B {options}"
    )
    joined = join_services(host, Assignments())
    assert len(only(joined).assigned) == count
    found = find_all(joined.services, HOST, host.readings, memory_of_all(host.readings, joined.services))
    assert [one.severity for one in found if one.code == "any-gpus"] == ["info"]


def test_a_count_that_is_changed_in_the_file_counts(tmp_path: Path) -> None:
    before = join_services(world(tmp_path, "1", [0] * 4), Assignments())
    after = join_services(world(tmp_path, "2", [0] * 4), Assignments(), before)
    assert len(only(after).assigned) == 2


def test_a_saved_choice_of_another_number_counts_no_longer(tmp_path: Path) -> None:
    saved = Assignments(items=(Assignment(key=KEY, gpus=(HOST[2].uuid,)),))
    service = only(join_services(world(tmp_path, "2", [0] * 4), saved))
    assert (service.any_gpus, len(service.assigned)) == (2, 2)


def test_a_saved_choice_of_a_gpu_that_is_gone_counts_no_longer(tmp_path: Path) -> None:
    saved = Assignments(items=(Assignment(key=KEY, gpus=("GPU-gone",)),))
    service = only(join_services(world(tmp_path, "1", [0] * 4), saved))
    assert (service.any_gpus, len(service.assigned)) == (1, 1)


def test_one_that_needs_less_than_before_is_looked_at_again(tmp_path: Path) -> None:
    used = [8_000, 8_000, 8_000, 70_000]
    before = join_services(world(tmp_path, "1", used, gib=79), Assignments())
    after = join_services(world(tmp_path, "1", used, gib=65), Assignments(), before)
    assert only(after).assigned
    assert codes(after, world(tmp_path, "1", used).readings) == {"any-gpus"}
