"""What a shell proposes, asked as bash asks (argcomplete's protocol)."""

import os
import subprocess
import sys

import pytest


def proposals(line: str) -> set[str]:
    """What is proposed where the cursor stands at the end of this line."""
    environment = os.environ | {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_SHELL": "bash", "_ARGCOMPLETE_IFS": "\v", "COMP_TYPE": "9",
        "COMP_LINE": line, "COMP_POINT": str(len(line)),
    }  # fmt: skip
    command = f"exec {sys.executable} -m gputui 8>&1 9>/dev/null"
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=True)
    return {word.strip() for word in done.stdout.split("\v")}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("gputui ro", {"rollback"}),
        ("gputui rollback --set", {"--settle", "--settled"}),
        ("gputui --demo restart ai-l", {"ai-llm"}),
        ("gputui --demo=workstation assign x --gpus 0,", {"0,1"}),
        ("gputui --demo history ", {"--json", "--limit", "--help", "-h"}),
        ("gputui completion ", {"bash", "fish", "zsh", "--help", "-h"}),
    ],
)
def test_a_shell_proposes_what_could_be_typed(line: str, expected: set[str]) -> None:
    assert proposals(line) == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_code_for_each_shell_is_printed(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gputui", "completion", shell], capture_output=True, text=True, check=True
    )
    assert "gputui" in done.stdout
    assert done.stderr == ""
