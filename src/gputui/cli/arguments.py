"""The command line: options and verbs."""

import argparse
import os
import sys
from collections.abc import Collection, Sequence
from typing import NoReturn

from gputui import __version__
from gputui.domain.injection import MECHANISMS
from gputui.domain.retention import Retention
from gputui.domain.strategy import STRATEGIES
from gputui.domain.text import real_number, whole_number

SHOWS = ("gpus", "services", "processes", "findings", "status")


class _Parser(argparse.ArgumentParser):
    """Errors in two lines: what, and what to do."""

    verbs: Collection[str] = ()

    def error(self, message: str) -> NoReturn:
        message = message.replace(", 'carry-out'", "")  # a verb that is not meant for people
        sys.stderr.write(f"gputui: {message}\ngputui: see `{self.prog} --help`\n")
        sys.exit(2)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The parsed command line; exits with 2 where it is wrong."""
    parser = _parser()
    words = _with_scenario(arguments, parser.verbs)
    asked = os.environ.get("GPUTUI_MECHANISM")
    if asked and asked not in MECHANISMS:
        parser.error(f"GPUTUI_MECHANISM={asked!r} is none of {', '.join(MECHANISMS)}")
    parsed = parser.parse_args(words)
    parsed.mechanism = parsed.mechanism or asked or None
    return parsed


def _with_scenario(arguments: Sequence[str], verbs: Collection[str]) -> list[str]:
    """`--demo` has a value where what follows it is neither an option nor a verb."""
    words: list[str] = []
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        if word == "--demo":
            is_named = rest and not rest[0].startswith("-") and rest[0] not in verbs
            word = f"--demo={rest.pop(0) if is_named else ''}"
        words.append(word)
    return words


def _parser() -> _Parser:
    parser = _Parser(
        prog="gputui",
        description="See every GPU of a shared server live, move services between GPUs, and apply it safely. "
        "Without a verb the screen starts.",
        epilog="Exit codes: 0 done; 1 findings of severity error, or unhealthy; 2 bad usage or input; 3 engine or NVML "
        "out of reach; 4 apply failed and was rolled back; 5 apply failed and needs a person; 70 a defect in gputui.",
    )
    parser.add_argument("--version", action="version", version=f"gputui {__version__}")
    add = parser.add_argument
    add("--file", "-f", action="append", default=[], metavar="COMPOSE", help="a Compose file; can be given again")
    add("--project-name", "-p", metavar="N", help="the Compose project's name")
    add("--host", metavar="URL", help="the engine's address, as in DOCKER_HOST")
    add("--context", metavar="N", help="the docker context to use")
    add("--path-alias", action="append", default=[], type=_alias, metavar="A=B", help="paths that mean the same place")
    add(
        "--mechanism",
        choices=MECHANISMS,
        help="how containers get their GPUs, whatever else would be chosen (also GPUTUI_MECHANISM)",
    )
    add("--demo", metavar="[SCENARIO]", help="a simulated server: h100-server, workstation, mixed-server, or a file")
    add("--readonly", action="store_true", help="only look")
    add("--theme", metavar="N", help="the screen's theme")
    add("--ascii", action="store_true", help="only ASCII signs on the screen")
    add("--no-mouse", action="store_true", help="leave the mouse to the terminal, so that it can select text")
    add("--debug", action="store_true", help="write all that gputui logs into its log file")
    add("--interval", type=_interval, default=1.0, metavar="S", help="seconds between readings (default 1)")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    _add_shows(verbs)
    _add_changes(verbs)
    parser.verbs = verbs.choices
    return parser


def _interval(text: str) -> float:
    value = real_number(text) or 0.0
    if not 0.25 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0.25 to 3600")
    return value


def _seconds(text: str) -> float:
    value = real_number(text)
    if value is None or not 0 <= value <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 0 to 86400")
    return value


def _count(text: str) -> int:
    value = whole_number(text, least=1, most=1_000_000)
    if value is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1000000")
    return value


def _alias(text: str) -> tuple[str, str]:
    one, sign, other = text.partition("=")
    if not sign or not one.startswith("/") or not other.startswith("/"):
        raise argparse.ArgumentTypeError(f"{text!r} is no pair of paths: write it like /ceph=/fsx")
    return one, other


def _add_shows(verbs: "argparse._SubParsersAction[_Parser]") -> None:
    texts = {
        "gpus": "the GPUs and their readings",
        "services": "the services: assigned, asked for, seen",
        "processes": "the processes on the GPUs",
        "findings": "what is worth saying",
        "status": "whether all is well",
    }
    for name in SHOWS:
        verb = verbs.add_parser(name, help=texts[name], description=texts[name])
        verb.add_argument("--json", action="store_true", help="one JSON object")
        verb.add_argument("--watch", action="store_true", help="again at every interval")
        if name == "gpus":
            verb.add_argument("--rescan", action="store_true", help="look for new GPUs first")
    text = "what a container's GPU depends on: driver, engine, its mechanisms, the state"
    verb = verbs.add_parser("doctor", help=text, description=text)
    verb.add_argument("--json", action="store_true", help="one JSON object")
    verb = verbs.add_parser("history", help="revisions and applies; of one apply, all that it did")
    verb.add_argument("apply", nargs="?", type=int, metavar="APPLY", help="the number of an apply")
    verb.add_argument("--limit", type=_count, default=100, metavar="N", help="how many of each (default 100)")
    verb.add_argument("--json", action="store_true", help="one JSON object")
    verb = verbs.add_parser("logs", help="a service's log")
    verb.add_argument("service", metavar="SERVICE")
    verb.add_argument("-f", "--follow", action="store_true", help="go on as it grows")
    verb.add_argument(
        "--tail", type=int, default=200, metavar="N", help="from so many lines before the end (default 200)"
    )
    verb.add_argument("--since", type=_seconds, metavar="S", help="no lines older than so many seconds")
    verb.add_argument("--timestamps", action="store_true", help="with the time of each line")
    verb.add_argument("--previous", action="store_true", help="the log of the container that the last apply replaced")


def _add_changes(verbs: "argparse._SubParsersAction[_Parser]") -> None:
    verb = verbs.add_parser("assign", help="assign GPUs to a service, and save")
    verb.add_argument("service", metavar="SERVICE")
    verb.add_argument("--gpus", metavar="0,2|4-7|UUID|all|none|auto", help="the GPUs, in order")
    verb.add_argument(
        "--budget", metavar="SIZE", help="its VRAM budget, as in 3.5GiB, or none; keep: not adjusted to another GPU"
    )
    verb.add_argument("--priority", metavar="N", help="its priority for strategies, or none for that of its file")
    switch = verb.add_mutually_exclusive_group()
    switch.add_argument("--enable", action="store_true", help="it is to run")
    switch.add_argument("--disable", action="store_true", help="it is not to run")
    verb.add_argument(
        "--set", action="append", default=[], metavar="ARG=VALUE", help="change an argument of its command"
    )
    verb.add_argument("--yes", "-y", action="store_true", help="adopt a container that was found, without asking")
    verb.add_argument("--json", action="store_true", help="one JSON object")
    verb = verbs.add_parser("suggest", help="what a strategy would assign; changes nothing unless told to")
    verb.add_argument(
        "--strategy",
        choices=tuple(STRATEGIES),
        help="; ".join(f"{name}: {text}" for name, text in STRATEGIES.items()) + "; without it, all side by side",
    )
    verb.add_argument("--reserve", metavar="SIZE", help="memory to keep free on every GPU (default none)")
    verb.add_argument("--json", action="store_true", help="one JSON object")
    verb.add_argument("--adopt", action="store_true", help="place containers that were only found, too")
    verb.add_argument("--save", action="store_true", help="save it as the assignments; nothing is applied yet")
    verb.add_argument("--yes", "-y", action="store_true", help="without asking")
    verb = verbs.add_parser("plan", help="what an apply would do")
    verb.add_argument("service", nargs="*", metavar="SERVICE")
    verb.add_argument("--refresh", action="store_true", help="also what differs from its Compose file")
    verb.add_argument("--json", action="store_true", help="one JSON object")
    verb = verbs.add_parser("apply", help="carry the plan out")
    verb.add_argument("service", nargs="*", metavar="SERVICE")
    verb.add_argument("--force", action="store_true", help="in spite of errors (never of refusals)")
    verb.add_argument("--refresh", action="store_true", help="also make anew what differs from its Compose file")
    verb.add_argument(
        "--keep-layer",
        action="append",
        default=[],
        metavar="SERVICE",
        help=("keep what its container wrote outside its volumes, as an image"),
    )
    verb.add_argument("--resume", action="store_true", help="go on with an apply that was cut off")
    _common(verb)
    for name in ("restart", "start", "stop"):
        verb = verbs.add_parser(name, help=f"{name} services")
        verb.add_argument("service", nargs="+", metavar="SERVICE")
        _common(verb)
    _add_state(verbs)
    verbs.add_parser("carry-out")


def _add_state(verbs: "argparse._SubParsersAction[_Parser]") -> None:
    verb = verbs.add_parser("rollback", help="go back to an earlier revision, or take back an apply that was cut off")
    verb.add_argument("revision", nargs="?", type=int, metavar="REVISION")
    verb.add_argument("--settled", action="store_true", help="somebody looked after what an apply left; do nothing")
    _common(verb)
    verb = verbs.add_parser("add", help="write a new service into the Compose file, after showing the difference")
    verb.add_argument("service", metavar="SERVICE")
    verb.add_argument("--image", required=True, metavar="IMAGE")
    verb.add_argument("--command", default="", metavar="WORDS", help="its command, as a shell splits it")
    verb.add_argument("--port", action="append", default=[], metavar="HOST:INSIDE", help="auto:INSIDE finds a free one")
    verb.add_argument("--mount", action="append", default=[], metavar="HOST:INSIDE[:ro]")
    verb.add_argument("--gpus", default="", metavar="0,2|UUID|none")
    verb.add_argument("--yes", "-y", action="store_true", help="without asking")
    verb.add_argument("--json", action="store_true", help="one JSON object")
    text = "state: the whole state as one file, to keep it or to bring it elsewhere; run: a service as `docker run`"
    verb = verbs.add_parser("export", help=text, description=text)
    verb.add_argument("what", choices=("state", "run"))
    verb.add_argument("path", nargs="?", metavar="FILE|SERVICE", help="where the state goes to (else it is printed)")
    verb = verbs.add_parser(
        "import", help="bring an exported state back, or take in a gpu-assignments.yml edited by hand"
    )
    verb.add_argument("path", metavar="FILE")
    verb.add_argument("--yes", "-y", action="store_true", help="without asking")
    verb.add_argument("--json", action="store_true", help="one JSON object")
    text = "remove old applies, revisions and logs of replaced containers from the state"
    verb = verbs.add_parser("clean", help=text, description=f"{text}; what is still needed stays")
    kept = Retention()
    verb.add_argument(
        "--applies", type=_count, default=kept.applies, metavar="N", help=f"keep N (default {kept.applies})"
    )
    verb.add_argument(
        "--revisions", type=_count, default=kept.revisions, metavar="N", help=f"keep N (default {kept.revisions})"
    )
    verb.add_argument("--logs", type=_count, default=kept.logs, metavar="N", help=f"keep N (default {kept.logs})")
    verb.add_argument(
        "--days", type=_count, default=int(kept.days), metavar="N",
        help=f"keep nothing that is older, but for the newest {kept.always} (default {kept.days})",
    )  # fmt: skip
    verb.add_argument("--dry-run", action="store_true", help="only tell what would be removed")
    verb.add_argument("--yes", "-y", action="store_true", help="without asking")
    verb.add_argument("--json", action="store_true", help="one JSON object")
    verb = verbs.add_parser("cancel", help="take back the apply that runs")
    verb.add_argument("--yes", "-y", action="store_true", help="without asking")
    verb = verbs.add_parser("fallback", help="give services whose GPU was gone at the last apply the next best one")
    _common(verb)


def _common(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--yes", "-y", action="store_true", help="without asking")
    verb.add_argument("--json", action="store_true", help="a line of JSON for each event, the last one the result")
    verb.add_argument(
        "--settle",
        type=_seconds,
        metavar="S",
        help="seconds that a container without a healthcheck has to stay up (default 6)",
    )
    verb.add_argument(
        "--health-limit",
        type=_seconds,
        metavar="S",
        help="seconds after which a container that is not healthy has failed (default 1800)",
    )
