"""The settings file: its values apply, and errors name the line."""

import json
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from gputui.app.app import needs_ascii
from gputui.app.config.preferences import Preferences, read_preferences
from gputui.app.config.preferences_file import parse_preferences, preferences_schema
from gputui.app.config.ui_state import UiState, read_ui_state, save_ui_state, ui_state_path
from gputui.domain.errors import UsageError
from gputui.state.file_io import packaged

PATH = Path("settings.yaml")


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert read_preferences(tmp_path / "none.yaml") == Preferences()
    assert parse_preferences("# nothing\n", PATH) == Preferences()


def test_what_it_says_holds() -> None:
    preferences = parse_preferences(
        "theme: gputui-light\nlog: {tail: 50, wrap: true}\nkeys:\n  pane.history: f7\ncolumns: [BACKEND, MODEL]\n",
        PATH,
    )
    assert (preferences.theme, preferences.log.tail, preferences.log.wrap, preferences.log.times) == (
        "gputui-light",
        50,
        True,
        False,
    )
    assert preferences.keys == {"pane.history": "f7"}
    assert preferences.columns == ("BACKEND", "MODEL")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("theme: a\nlogs: {}\n", "settings.yaml:2: logs: there is no such setting"),
        ("log:\n  tail: 0\n", "settings.yaml:2: log.tail: from 1 to 20000 lines are read"),
        ("log:\n  times: true\n  tall: 3\n", "settings.yaml:3: log.tall: there is no such setting"),
        ("a: [1\nb: 2\n", "settings.yaml:2: "),
        ("- theme\n", "settings.yaml:1: settings are names with values"),
        ("keys:\n  plan.apply: A\n  plan.aply: B\n", "settings.yaml:3: keys: nothing has the id plan.aply"),
        ("keys:\n  plan.apply: ctrl+banana\n", "settings.yaml:2: keys: “ctrl+banana” is no key"),
        ('keys:\n  plan.apply: ""\n', "settings.yaml:2: keys: “” is no key"),
        ("keys:\n  plan.apply: u\n", "settings.yaml:2: keys: u is plan.apply and draft.undo (everywhere)"),
        ("columns:\n  - BACKEND\n  - Colour\n", "settings.yaml:3: columns: there is no column Colour"),
        ("notices: {bell: perhaps}\n", "settings.yaml:1: notices.bell: Input should be a valid boolean"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, message: str) -> None:
    with pytest.raises(UsageError) as failure:
        parse_preferences(text, PATH)
    assert message in failure.value.what
    assert failure.value.fix


def test_two_things_may_change_keys_with_each_other() -> None:
    assert parse_preferences("keys: {plan.apply: u, draft.undo: a}\n", PATH).keys["plan.apply"] == "u"


def test_the_published_schema_is_that_of_the_settings() -> None:
    path = packaged("configs") / "settings.schema.json"
    assert path.read_text() == preferences_schema(), "write it anew: scripts/settings-schema"
    assert "pane.history" in json.loads(path.read_text())["properties"]["keys"]["propertyNames"]["enum"]


def test_the_example_has_every_setting_and_is_right() -> None:
    text = (packaged("configs") / "settings.example.yaml").read_text()
    parse_preferences(text, PATH)
    assert set(yaml.safe_load(text)) == {setting.name for setting in fields(Preferences)}


def test_choices_are_kept_and_a_broken_file_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    state = UiState(theme="gputui-nord", columns=("MODEL",), sort="GPUS")
    save_ui_state(ui_state_path(), state)
    assert read_ui_state(ui_state_path()) == state
    for broken in ("{", "[]", '{"theme": 3, "columns": "MODEL"}'):
        ui_state_path().write_text(broken)
        assert read_ui_state(ui_state_path()) == UiState()


@pytest.mark.parametrize(("term", "lang", "set_to", "requested", "needed"), [
    ("xterm-256color", "de_DE.UTF-8", None, False, False),
    ("xterm-256color", "", None, False, False),
    ("xterm-256color", "C", None, False, True),
    ("linux", "C.UTF-8", None, False, True),
    ("linux", "C.UTF-8", False, False, False),
    ("xterm-256color", "C.UTF-8", False, True, True),
])  # fmt: skip
def test_ascii_is_taken_where_nothing_else_can_be_shown_unless_it_is_set(
    monkeypatch: pytest.MonkeyPatch, term: str, lang: str, set_to: bool | None, requested: bool, needed: bool
) -> None:
    for name in ("LC_ALL", "LC_CTYPE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("LANG", lang)
    assert needs_ascii(Preferences(ascii=set_to), requested=requested) is needed
