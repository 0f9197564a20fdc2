"""Files that ask for a number of GPUs and name none: nobody is warned of GPUs that nobody chose."""

from collections.abc import Sequence
from pathlib import Path

from gputui.compose.files import ComposeFiles
from gputui.compose.reading import read_project
from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.service import Service, ServiceKey
from gputui.planning.findings.find_all import find_all
from gputui.planning.memory import memory_of_all
from gputui.planning.services import Joined, World, join_services
from tests.builders import gpu, reading

HOST = [gpu(index) for index in range(4)]
KEY = ServiceKey("host", "ai", "llm")


def world(folder: Path, count: str, used_mib: Sequence[int], gpus: Sequence[Gpu] = HOST) -> World:
    """A service of a file that declares 30 GiB, on a host of these GPUs with so much in use by others."""
    path = folder / "compose.yml"
    devices = f"[{{driver: nvidia, count: {count}, capabilities: [gpu]}}]"
    path.write_text(
        "name: ai\nservices:\n  llm:\n    image: mine:1\n    x-gputui: {vram: 30GiB}\n"
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
