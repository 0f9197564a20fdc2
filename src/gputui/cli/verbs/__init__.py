"""The verbs. A new one needs a file here with its `VERBS`, and a line below.

Only the file of the requested verb is imported; for the others their names are enough.
"""

from importlib import import_module

from gputui.cli.verb import Verb

FILES = {
    "gpus": "gpus",
    "services": "services",
    "processes": "gpus",
    "findings": "findings",
    "status": "status",
    "doctor": "doctor",
    "assign": "assign",
    "suggest": "suggest",
    "plan": "plan",
    "apply": "apply",
    "restart": "lifecycle",
    "start": "lifecycle",
    "stop": "lifecycle",
    "cancel": "apply",
    "rollback": "rollback",
    "fallback": "rollback",
    "history": "history",
    "logs": "logs",
    "add": "add",
    "export": "export",
    "import": "import_file",
    "clean": "clean",
    "completion": "completion",
}
"""The names of the verbs, in the order of the help, and their files."""


def load(name: str) -> Verb:
    """The verb with this name."""
    verbs: tuple[Verb, ...] = import_module(f"{__name__}.{FILES[name]}").VERBS
    return next(verb for verb in verbs if verb.name == name)
