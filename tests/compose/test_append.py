"""One more service in a Compose file, whose other lines stay as somebody wrote them."""

from pathlib import Path

import pytest
import yaml

from gputui.compose.append import proposed, with_service, write
from gputui.domain.compose import NewService
from gputui.domain.errors import Conflict, UsageError

SERVICE = NewService(name="new", image="img:1", command=("--a", "$x"), ports=("8001:8000",), gpus=("GPU-1",))
FILE = """\
name: ai   # ours
services:
    one:
        image: a
        deploy: !override {resources: {}}
    # the last one
    two:
        image: b

# networks below
networks:
    n: {}
"""


def test_it_stands_after_the_last_service_in_the_files_own_indent() -> None:
    text = with_service(FILE, SERVICE, "compose.yaml")
    before, added, after = text.partition("    new:\n")
    assert before.endswith("        image: b\n") and added
    assert after.endswith("\n# networks below\nnetworks:\n    n: {}\n")
    assert before + after[after.index("\n# networks") :] == FILE


def test_compose_reads_it_as_it_was_meant() -> None:
    text = with_service("services:\n  a: {image: x}\n", SERVICE, "f")
    made = yaml.safe_load(text)["services"]["new"]
    assert made["command"] == ["--a", "$$x"]
    assert made["deploy"]["resources"]["reservations"]["devices"][0]["device_ids"] == ["GPU-1"]


@pytest.mark.parametrize("ending", ["", "\n", "\n\n\n"])
def test_at_the_end_of_a_file_with_or_without_a_last_line_end(ending: str) -> None:
    text = with_service(f"services:\n  a:\n    image: x{ending}", SERVICE, "f")
    assert set(yaml.safe_load(text)["services"]) == {"a", "new"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("services: {a: {image: x}}\n", "on lines of its own"),
        ("services:\n  new:\n    image: x\n", "has a service new already"),
        ("other: 1\n", "has no services"),
        ("a: [\n", "is not YAML"),
    ],
)
def test_a_file_that_cannot_be_added_to_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        with_service(text, SERVICE, "f")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "a b"}, "is no name of a service"),
        ({"image": "x y"}, "is no image"),
        ({"ports": ("80x",)}, "is no port"),
        ({"ports": ("99999:80",)}, "is no port"),
        ({"mounts": ("models",)}, "is no mount"),
        ({"command": ("a\x1b[2J",)}, "control characters"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FILE)
    with pytest.raises(UsageError, match=message):
        proposed(path, NewService(**{"name": "n", "image": "i", **change}))  # type: ignore[arg-type]


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "compose.yml"
    path.write_text("services:\n  a:\n    image: b\n")
    with pytest.raises(UsageError) as raised:
        proposed(path, NewService(name="a b", image="x y", ports=("80x",)))
    assert all(text in raised.value.what for text in ("no name of a service", "no image", "no port"))


def test_line_ends_letters_and_links_stay_and_the_old_file_is_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    before = "# für uns\r\nservices:\r\n  a:\r\n    image: x\r\n".encode()
    real.write_bytes(before)
    (tmp_path / "real.yaml.bak").write_text("somebody's own")
    link.symlink_to(real)
    write(proposed(link, SERVICE))
    assert link.is_symlink()
    after = real.read_bytes()
    assert after.startswith(before) and after.count(b"\n") == after.count(b"\r\n")
    assert (tmp_path / "real.yaml.gputui-bak").read_bytes() == before
    assert (tmp_path / "real.yaml.bak").read_text() == "somebody's own"


def test_a_file_that_somebody_changed_meanwhile_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(FILE)
    edit = proposed(path, SERVICE)
    path.write_text(FILE + "# more\n")
    with pytest.raises(Conflict):
        write(edit)
    assert path.read_text() == FILE + "# more\n"
