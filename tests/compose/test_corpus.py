"""gputui reads the file sets of the corpus as `docker compose` does, and refuses with a place what that refuses."""

from pathlib import Path

import pytest

from gputui.domain.errors import UsageError
from tests.compose.corpus import by_program, differences, fault, laid_out, names
from tests.compose.readers import asked, compared, own

SHOWN = 12


def told(found: list[str]) -> str:
    rest = f"\n… and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "\n" + "\n".join(found[:SHOWN]) + rest


@pytest.mark.parametrize("name", names("public"))
def test_both_readers_say_the_same(tmp_path: Path, name: str) -> None:
    laid = laid_out("public", name, tmp_path)
    theirs = asked(laid)
    assert isinstance(theirs, dict), theirs
    found = differences(own(laid), theirs, laid.folder)
    assert not found, told(found)


@pytest.mark.parametrize("name", names("public"))
def test_what_gputui_is_told_is_what_the_program_prints(tmp_path: Path, name: str) -> None:
    laid = laid_out("public", name, tmp_path)
    printed, theirs = by_program(laid, named=not laid.is_found), asked(laid)
    assert isinstance(printed, dict), printed
    assert isinstance(theirs, dict), theirs
    found = differences(theirs, compared(printed), laid.folder)
    assert not found, told(found)


@pytest.mark.parametrize("project", ["given", "Not.Normal"])
@pytest.mark.parametrize("name", ["48-names", "27-compose-file-variable", "19-traefik"])
def test_a_name_that_is_given_comes_before_all_others(tmp_path: Path, name: str, project: str) -> None:
    laid = laid_out("public", name, tmp_path)
    theirs = asked(laid, project)
    if isinstance(theirs, str):
        with pytest.raises(UsageError, match="name"):
            own(laid, project)
        return
    found = differences(own(laid, project), theirs, laid.folder)
    assert not found, told(found)


@pytest.mark.parametrize("name", names("refused"))
def test_what_docker_compose_refuses_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    laid = laid_out("refused", name, tmp_path)
    with pytest.raises(UsageError) as caught:
        own(laid)
    assert fault(name).missing(str(caught.value)) == [], str(caught.value)


@pytest.mark.parametrize("name", names("refused"))
def test_the_refusal_of_docker_compose_is_passed_on(tmp_path: Path, name: str) -> None:
    assert isinstance(asked(laid_out("refused", name, tmp_path)), str)
