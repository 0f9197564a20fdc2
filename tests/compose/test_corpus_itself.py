"""The corpus is worth something only if the real program reads it, and refuses what it is to refuse."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.compose.corpus import Fault, by_program, differences, fault, laid_out, names
from tests.compose.lines import lines, with_lines


@pytest.mark.parametrize("name", names("public"))
def test_docker_compose_reads_it(tmp_path: Path, name: str) -> None:
    laid = laid_out("public", name, tmp_path)
    found = by_program(laid)
    assert isinstance(found, dict), found
    assert found["services"]
    if laid.is_found:
        assert by_program(laid, named=False) == found


@pytest.mark.parametrize("name", names("refused"))
def test_docker_compose_refuses_it(tmp_path: Path, name: str) -> None:
    found = by_program(laid_out("refused", name, tmp_path))
    assert isinstance(found, str)
    assert "panic" not in found
    assert fault(name).places


def test_docker_compose_reads_the_lines(tmp_path: Path) -> None:
    found = by_program(with_lines(tmp_path, *lines("read")))
    assert isinstance(found, dict), found
    assert len(found["services"]) == len(lines("read")) + 1


def test_docker_compose_refuses_the_lines(tmp_path: Path) -> None:
    def is_refused(place: int, line: str) -> bool:
        folder = tmp_path / str(place)
        folder.mkdir()
        return isinstance(by_program(with_lines(folder, line)), str)

    refused = lines("refused")
    with ThreadPoolExecutor(2) as two:
        answers = list(two.map(is_refused, range(len(refused)), refused))
    assert [line for line, answer in zip(refused, answers, strict=True) if not answer] == []


def test_a_difference_is_told_by_its_place() -> None:
    ours = {"services": {"a": {"ports": [{"target": 80}], "tty": 1, "image": "/x/stack/y"}}, "networks": {}}
    theirs = {"services": {"a": {"ports": [{"target": 81}], "tty": True, "image": "@/y", "init": False}}}
    assert differences(ours, theirs, Path("/x/stack")) == [
        "services.a.init: ours nothing, docker compose's False",
        "services.a.ports[0].target: ours 80, docker compose's 81",
        "services.a.tty: ours 1, docker compose's True",
    ]


def test_a_message_has_to_name_file_line_and_key() -> None:
    looked_for = Fault((("compose.yml", 4, 5),), ("scale",))
    assert looked_for.missing("/a/compose.yml:5: scale: a number is expected") == []
    assert looked_for.missing("compose.yml:6: a number is expected") == ["compose.yml:4-5", "scale"]
