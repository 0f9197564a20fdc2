"""Each line of a service is read as `docker compose` reads it, or refused as that refuses it."""

from pathlib import Path
from typing import Any

import pytest

from gputui.domain.errors import UsageError
from tests.compose.corpus import Fault, differences
from tests.compose.lines import LINE, lines, with_lines
from tests.compose.readers import asked, own


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder, and all lines as `docker compose` reads them at once."""
    laid = with_lines(tmp_path_factory.mktemp("lines"), *lines("read"))
    found = asked(laid)
    assert isinstance(found, dict), found
    return laid.folder, found["services"]


@pytest.mark.parametrize(("place", "line"), list(enumerate(lines("read"))), ids=lines("read"))
def test_a_line_is_read_alike(place: int, line: str, theirs: tuple[Path, dict[str, Any]]) -> None:
    folder, services = theirs
    laid = with_lines(folder, line)
    found = differences(own(laid)["services"]["s000"], services[f"s{place:03}"], folder)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("line", lines("refused"))
def test_a_line_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        own(with_lines(tmp_path, line))
    key = line.partition(":")[0]
    assert Fault((("compose.yml", LINE, LINE),), (key,)).missing(str(caught.value)) == [], str(caught.value)


@pytest.mark.parametrize("line", lines("tolerated"))
def test_a_line_that_only_docker_compose_refuses_is_read_or_refused_and_never_a_crash(
    tmp_path: Path, line: str
) -> None:
    """Nothing of these reaches a container in another way than it is written; where `docker compose` is installed, it
    refuses them."""
    try:
        own(with_lines(tmp_path, line))
    except UsageError as error:
        assert "\n" not in error.what
