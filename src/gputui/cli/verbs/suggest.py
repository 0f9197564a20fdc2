"""`suggest`: what a strategy would assign."""

import argparse

from gputui.cli import json_form
from gputui.cli.asking import ask
from gputui.cli.looking import FIRST_LOOK_S
from gputui.cli.output import labels, print_json, print_table, say
from gputui.cli.verb import Verb, json_option, yes_option
from gputui.controller.protocols import Controller
from gputui.domain.errors import Unreachable, UsageError
from gputui.domain.message import message
from gputui.domain.snapshot import Snapshot
from gputui.domain.strategy import STRATEGIES
from gputui.domain.suggestion import Suggestion
from gputui.domain.units import gib, parse_size


def _suggest(controller: Controller, arguments: argparse.Namespace) -> int:
    """`suggest [--strategy S]`: one strategy, or all side by side."""
    reserve = 0 if arguments.reserve in (None, "0") else parse_size(arguments.reserve, where="--reserve")
    snapshot = controller.watch.wait(FIRST_LOOK_S)
    if not snapshot.inventory.gpus:
        raise Unreachable(snapshot.inventory.reason or "there is no GPU", snapshot.inventory.fix or "")
    if not snapshot.engine.info:
        raise Unreachable(snapshot.engine.reason or "the engine does not answer", snapshot.engine.fix or "")
    if arguments.strategy is None:
        if arguments.save:
            raise UsageError("--save needs to know what to save", "name one with --strategy")
        _compare(
            [controller.draft.suggest(strategy, reserve, adopt=arguments.adopt) for strategy in STRATEGIES],
            snapshot,
            as_json=arguments.json,
        )
        return 0
    suggestion = controller.draft.suggest(arguments.strategy, reserve, adopt=arguments.adopt)
    if arguments.json:
        print_json(json_form.suggestion_body(suggestion, snapshot))
    else:
        _print_suggestion(suggestion, snapshot)
    if not arguments.save:
        return 0
    changed = any(assignment.moved or assignment.adjusted for assignment in suggestion.assignments)
    if not changed and all(unplaced.stays for unplaced in suggestion.unplaced):
        say("nothing to save: everything is where it suggests")
        return 0
    if not ask(f"Save this as the assignments ({suggestion.moves} moves)? Nothing is applied yet.", yes=arguments.yes):
        return 2
    controller.draft.take_suggestion(suggestion, adopt=arguments.adopt)
    saved = controller.draft.save(message("strategy", strategy=suggestion.strategy))
    if not arguments.json:
        say(f"saved as revision {saved.revision}; `gputui plan` shows what it takes, `gputui apply` does it")
    return 0


def _print_suggestion(suggestion: Suggestion, snapshot: Snapshot) -> None:
    services = {service.key: service for service in snapshot.services}
    rows = []
    for assignment in suggestion.assignments:
        current = labels(services[assignment.service].assigned, snapshot) if assignment.service in services else "–"
        target = labels(assignment.gpus, snapshot)
        budget = "" if assignment.budget_mib is None else f"{assignment.budget_mib * 10 // 1024 / 10:.1f} GiB"
        rows.append((assignment.name, current, target if assignment.moved else "as now", budget))
    if rows:
        print_table(("SERVICE", "GPUS NOW", suggestion.strategy.upper(), "BUDGET"), rows)
        say("")
    print_table(
        ("GPU", "SERVICES GiB", "OTHERS GiB", "FREE AFTER GiB"),
        [(gpu.label, gib(gpu.planned_mib), gib(gpu.foreign_mib), gib(gpu.free_after_mib)) for gpu in suggestion.gpus],
    )
    say("")
    proved = "proved best" if suggestion.proved_best else "the best that was found"
    if suggestion.strategy != "manual":
        say(f"{suggestion.moves} {'move' if suggestion.moves == 1 else 'moves'}{_down(suggestion)}; {proved}")
    for unplaced in suggestion.unplaced:
        end = "" if unplaced.stays else "; --save disables it"
        say(f" ▲ no place for {unplaced.name}: {unplaced.reason}{end}")
    for note in suggestion.notes:
        say(f" · {note}")
    if suggestion.fixed:
        names = ", ".join(service.name for service in suggestion.fixed)
        say(f" · stays where it is, because it is unmanaged: {names} (--adopt places these too)")


def _down(suggestion: Suggestion) -> str:
    if suggestion.down_s is None:
        return ""
    return f", each service that runs is away for up to about {suggestion.down_s / 60:.0f} min"


def _unplaced(suggestions: list[Suggestion]) -> dict[str, list[str]]:
    """Which services cannot be placed and why, with the strategies to which that applies."""
    texts: dict[str, list[str]] = {}
    for suggestion in suggestions:
        for unplaced in suggestion.unplaced:
            texts.setdefault(f"{unplaced.name}: {unplaced.reason}", []).append(suggestion.strategy)
    return texts


def _compare(suggestions: list[Suggestion], snapshot: Snapshot, *, as_json: bool) -> None:
    if as_json:
        bodies = [json_form.suggestion_body(suggestion, snapshot) for suggestion in suggestions]
        print_json(json_form.versioned({"suggestions": bodies}))
        return
    gpus = [gpu.label for gpu in suggestions[0].gpus]
    head = ("STRATEGY", "MOVES", "PLACED", *(f"GPU {label}" for label in gpus), "")
    rows = []
    for suggestion in suggestions:
        placed = f"{len(suggestion.assignments)}/{len(suggestion.assignments) + len(suggestion.unplaced)}"
        amounts = [f"{gib(gpu.planned_mib + gpu.foreign_mib)}/{gib(gpu.total_mib)}" for gpu in suggestion.gpus]
        rows.append((suggestion.strategy, str(suggestion.moves), placed, *amounts, STRATEGIES[suggestion.strategy]))
    print_table(head, rows)
    for text, strategies in _unplaced(suggestions).items():
        say(f" ▲ no place for {text} ({', '.join(strategies)})")
    if suggestions[0].fixed:
        names = ", ".join(service.name for service in suggestions[0].fixed)
        say(f" · stay where they are, because they are unmanaged: {names} (--adopt places these too)")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--strategy",
        choices=tuple(STRATEGIES),
        help="; ".join(f"{name}: {text}" for name, text in STRATEGIES.items()) + "; without it, all side by side",
    )
    parser.add_argument("--reserve", metavar="SIZE", help="memory to keep free on every GPU (default none)")
    json_option(parser)
    parser.add_argument("--adopt", action="store_true", help="place unmanaged containers, too")
    parser.add_argument("--save", action="store_true", help="save it as the assignments; nothing is applied yet")
    yes_option(parser)


VERBS = (
    Verb(
        name="suggest",
        summary="what a strategy would assign; changes nothing by default to",
        run=_suggest,
        arguments=_arguments,
        examples=(
            ("suggest", "all strategies side by side"),
            ("suggest --strategy latency --save", "saves it; apply does it"),
        ),
    ),
)
