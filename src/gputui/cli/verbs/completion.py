"""`completion`: the code that makes a shell complete gputui's command line."""

import argparse

from gputui.cli.output import say
from gputui.cli.verb import Verb
from gputui.controller.protocols import Controller

SHELLS = ("bash", "zsh", "fish")


def _completion(controller: Controller, arguments: argparse.Namespace) -> int:
    from argcomplete.shell_integration import shellcode  # noqa: PLC0415 - nothing else needs it

    del controller
    say(shellcode(["gputui"], shell=arguments.shell))
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS)


VERBS = (
    Verb(
        name="completion",
        summary="the code that makes a shell complete verbs, options, services, GPUs and revisions",
        description="Prints the code that makes a shell complete gputui's command line. "
        'bash: put `eval "$(gputui completion bash)"` into ~/.bashrc. '
        'zsh: put `eval "$(gputui completion zsh)"` into ~/.zshrc, after compinit. '
        "fish: gputui completion fish > ~/.config/fish/completions/gputui.fish.",
        run=_completion,
        arguments=_arguments,
        examples=(('eval "$(gputui completion bash)"', "in this shell, from now on"),),
        needs_server=False,
    ),
)
