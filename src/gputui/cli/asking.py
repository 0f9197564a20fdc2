"""Questions to the person at the terminal."""

import sys

from gputui.domain.errors import NeedsAnswer


def ask(question: str, *, yes: bool) -> bool:
    """Ask the person at the terminal a yes-or-no question.

    Raises:
        NeedsAnswer: there is no terminal, and no `--yes`.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise NeedsAnswer(question, "there is no terminal to ask at: say --yes")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
