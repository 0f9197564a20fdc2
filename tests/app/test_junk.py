"""Arbitrary user files and log lines: none of them crashes the app."""

from pathlib import Path

import yaml
from hypothesis import given
from hypothesis import strategies as st

from gputui.app.config.preferences import read_preferences
from gputui.app.config.themes import DEFAULT, read_themes
from gputui.app.config.ui_state import read_ui_state
from gputui.app.render.log_buffer import pretty
from gputui.state.file_io import packaged
from tests.junk import documents, in_a_process, own_errors_only, tried

SETTINGS = {
    "theme": "gputui-dark",
    "ascii": False,
    "mouse": True,
    "cards": "auto",
    "columns": ["SERVICE"],
    "copy_by": "none",
    "log": {"tail": 500, "times": False, "wrap": False},
    "notices": {"bell": True, "desktop": False},
    "keys": {"app.quit": "x"},
}


@tried(80)
@given(raw=documents(SETTINGS, yaml=True))
def test_settings_of_junk_are_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    """The error names the line."""
    path = tmp_path / "settings.yaml"
    path.write_bytes(raw)
    with own_errors_only():
        read_preferences(path)


@tried(60)
@given(raw=documents({"theme": "a", "cards": "rows", "columns": ["a"], "sort": "b", "descending": True}))
def test_choices_of_junk_count_as_none(tmp_path: Path, raw: bytes) -> None:
    """The defaults are used."""
    path = tmp_path / "choices.json"
    path.write_bytes(raw)
    with own_errors_only():
        read_ui_state(path)


THEME = yaml.safe_load((packaged("themes") / f"{DEFAULT}.yaml").read_text())


@tried(50)
@given(raw=documents(THEME, yaml=True, deep=False))
def test_a_theme_of_junk_is_told_in_a_line(tmp_path: Path, raw: bytes) -> None:
    """The other themes are still available."""
    (tmp_path / "a.yaml").write_bytes(raw)
    with own_errors_only():
        themes, faults = read_themes(tmp_path)
        assert len(themes) + len(faults) == 1


def test_a_theme_nested_deeply_takes_nothing_down(tmp_path: Path) -> None:
    """The process that reads the line keeps running."""
    (tmp_path / "a.yaml").write_bytes(b"[" * 100_000)
    code = (
        "import sys, pathlib; from gputui.app.config.themes import read_themes; read_themes(pathlib.Path(sys.argv[1]))"
    )
    in_a_process(code, str(tmp_path))


@tried(60)
@given(
    raw=documents({"level": "info", "message": "a", "fields": [1, {"b": None}]}), head=st.sampled_from(["", "INFO "])
)
def test_a_line_of_a_log_of_junk_is_shown(raw: bytes, head: str) -> None:
    """The line is unchanged if it cannot be formatted."""
    with own_errors_only():
        pretty(head + raw.decode(errors="replace"))
