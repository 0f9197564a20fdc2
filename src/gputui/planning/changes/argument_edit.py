"""Changing one option of a command line, whatever form it is written in."""

import re
import shlex
from collections.abc import Sequence

from gputui.domain.errors import Refusal
from gputui.domain.launch import script_place

_MORE_THAN_ONE_COMMAND = re.compile(r"[;&|<>#\n`()]")


def with_argument(command: Sequence[str], argument: str, value: str | None) -> list[str]:
    """A command line with one option set: in place and in its present form, else at the end.

    `value` None removes the option; an empty one sets a switch. In a shell script the text is edited.

    Raises:
        Refusal: it is a script without the option that does not end with the program's options.
    """
    place = script_place(command)
    if place is None:
        return _with_word(command, argument, value)
    return [*command[:place], _with_text(command[place], argument, value), *command[place + 1 :]]


def _with_text(script: str, argument: str, value: str | None) -> str:
    pattern = re.compile(rf"(?<!\S){re.escape(argument)}(=|\s+)(\"[^\"]*\"|'[^']*'|[^\s;&|<>-][^\s;&|<>]*)")
    matches = list(pattern.finditer(script))
    if matches:
        last = matches[-1]
        changed = "" if value is None else f"{argument}{last[1]}{shlex.quote(value)}"
        return script[: last.start()] + changed + script[last.end() :]
    if value is None:
        return script
    if _MORE_THAN_ONE_COMMAND.search(script):
        raise Refusal(
            f"the command is a script, and {argument} does not stand in it", "write the option into the script"
        )
    return " ".join([script.rstrip(), argument, *([shlex.quote(value)] if value else [])])


def _with_word(command: Sequence[str], argument: str, value: str | None) -> list[str]:
    result: list[str] = []
    replaced = False
    place = 0
    while place < len(command):
        word = command[place]
        place += 1
        if word == argument:
            takes_value = place < len(command) and not command[place].startswith("-") and value != ""
            place += 1 if takes_value else 0
            result += [] if value is None else [argument, value] if value else [argument]
            replaced = True
        elif word.startswith(argument + "="):
            result += [] if value is None else [f"{argument}={value}" if value else argument]
            replaced = True
        else:
            result.append(word)
    if not replaced and value is not None:
        result += [argument, value] if value else [argument]
    return result
