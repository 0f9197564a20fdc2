"""`suggest`: what a strategy would assign."""

import argparse
import json

from gputui.cli import json_form
from gputui.cli.change import ask
from gputui.cli.output import say
from gputui.cli.show import FIRST_LOOK_S, labels, print_table
from gputui.controller.protocols import Controller
from gputui.domain.errors import Unreachable, UsageError
from gputui.domain.snapshot import Snapshot
from gputui.domain.strategy import STRATEGIES
from gputui.domain.suggestion import Suggestion
from gputui.domain.units import gib, parse_size


def suggest(controller: Controller, arguments: argparse.Namespace) -> int:
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
    found = controller.draft.suggest(arguments.strategy, reserve, adopt=arguments.adopt)
    if arguments.json:
        print(json.dumps(json_form.suggestion(found, snapshot)), flush=True)
    else:
        _print(found, snapshot)
    if not arguments.save:
        return 0
    if not any((one.moved or one.adjusted) for one in found.assignments) and all(one.stays for one in found.unplaced):
        say("nothing to save: everything is where it suggests")
        return 0
    if not ask(f"Save this as the assignments ({found.moves} moves)? Nothing is applied yet.", yes=arguments.yes):
        return 2
    controller.draft.take_suggestion(found, adopt=arguments.adopt)
    saved = controller.draft.save(f"strategy {found.strategy}")
    if not arguments.json:
        say(f"saved as revision {saved.revision}; `gputui plan` shows what it takes, `gputui apply` does it")
    return 0


def _print(found: Suggestion, snapshot: Snapshot) -> None:
    services = {service.key: service for service in snapshot.services}
    rows = []
    for one in found.assignments:
        now = labels(services[one.service].assigned, snapshot) if one.service in services else "–"
        wanted = labels(one.gpus, snapshot)
        budget = "" if one.budget_mib is None else f"{one.budget_mib * 10 // 1024 / 10:.1f} GiB"
        rows.append((one.name, now, wanted if one.moved else "as now", budget))
    if rows:
        print_table(("SERVICE", "GPUS NOW", found.strategy.upper(), "BUDGET"), rows)
        say("")
    print_table(
        ("GPU", "SERVICES GiB", "OTHERS GiB", "FREE AFTER GiB"),
        [(one.label, gib(one.planned_mib), gib(one.foreign_mib), gib(one.free_after_mib)) for one in found.gpus],
    )
    say("")
    proved = "proved best" if found.proved_best else "the best that was found"
    if found.strategy != "manual":
        say(f"{found.moves} {'move' if found.moves == 1 else 'moves'}{_down(found)}; {proved}")
    for left in found.unplaced:
        end = "" if left.stays else "; --save disables it"
        say(f" ▲ no place for {left.name}: {left.reason}{end}")
    for note in found.notes:
        say(f" · {note}")
    if found.fixed:
        names = ", ".join(one.name for one in found.fixed)
        say(f" · stays where it is, because it was only found: {names} (--adopt places these too)")


def _down(found: Suggestion) -> str:
    return (
        "" if found.down_s is None else f", each service that runs is away for up to about {found.down_s / 60:.0f} min"
    )


def _unplaced(found: list[Suggestion]) -> dict[str, list[str]]:
    """What finds no place and why, with the strategies for which that holds."""
    texts: dict[str, list[str]] = {}
    for one in found:
        for left in one.unplaced:
            texts.setdefault(f"{left.name}: {left.reason}", []).append(one.strategy)
    return texts


def _compare(found: list[Suggestion], snapshot: Snapshot, *, as_json: bool) -> None:
    if as_json:
        bodies = [json_form.suggestion(one, snapshot) for one in found]
        print(json.dumps(json_form.versioned({"suggestions": bodies})), flush=True)
        return
    gpus = [one.label for one in found[0].gpus]
    head = ("STRATEGY", "MOVES", "PLACED", *(f"GPU {label}" for label in gpus), "")
    rows = []
    for one in found:
        placed = f"{len(one.assignments)}/{len(one.assignments) + len(one.unplaced)}"
        amounts = [f"{gib(gpu.planned_mib + gpu.foreign_mib)}/{gib(gpu.total_mib)}" for gpu in one.gpus]
        rows.append((one.strategy, str(one.moves), placed, *amounts, STRATEGIES[one.strategy]))
    print_table(head, rows)
    for text, strategies in _unplaced(found).items():
        say(f" ▲ no place for {text} ({', '.join(strategies)})")
    if found[0].fixed:
        names = ", ".join(one.name for one in found[0].fixed)
        say(f" · stay where they are, because they were only found: {names} (--adopt places these too)")
