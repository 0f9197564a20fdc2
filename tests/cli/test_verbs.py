"""The registrations of the verbs."""

from pathlib import Path

import pytest

from gputui.cli import verbs
from gputui.cli.arguments import parser_of
from gputui.cli.verbs import FILES, load

FOLDER = Path(verbs.__file__).parent


def test_every_file_is_of_a_verb_and_every_verb_has_a_file() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} - {"__init__"} == set(FILES.values())
    for name in FILES:
        assert load(name).name == name


@pytest.mark.parametrize("name", FILES)
def test_the_help_of_a_verb_says_what_it_does_with_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parser_of([load(name)]).parse_args([name, "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "examples:" in text
    verb = load(name)
    assert (verb.description or verb.summary)[1:20] in " ".join(text.split())


@pytest.mark.parametrize("name", FILES)
def test_the_examples_of_a_verb_are_valid(name: str) -> None:
    for command, _ in load(name).examples:
        words = command.split(" && ")[0].split()
        if words[0] == name:
            parser_of([load(name)]).parse_args(words)
