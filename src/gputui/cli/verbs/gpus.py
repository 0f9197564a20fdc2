"""`gpus` and `processes`: what the GPUs are doing."""

import argparse

from gputui.cli import json_form
from gputui.cli.looking import Look, gpus_code, report_no_gpus
from gputui.cli.output import print_table
from gputui.cli.verb import Verb
from gputui.controller.protocols import Controller
from gputui.domain.snapshot import Snapshot
from gputui.domain.units import gib


def _print_gpus(snapshot: Snapshot) -> None:
    if not snapshot.inventory.gpus:
        report_no_gpus(snapshot)
        return
    rows = []
    for reading in snapshot.readings:
        unknown = "n/a"
        age = snapshot.taken_at - reading.taken_at
        state = reading.state if reading.state == "ok" else f"{reading.state}: {reading.reason or f'{age:.0f} s old'}"
        limit = unknown if reading.power_limit_w is None else f"{reading.power_limit_w:.0f}"
        power = unknown if reading.power_w is None else f"{reading.power_w:.0f}/{limit} W"
        unified = " unified" if reading.gpu.unified_memory else ""
        rows.append(
            (
                reading.gpu.label,
                reading.gpu.name,
                f"{gib(reading.memory_used_mib)}/{gib(reading.memory_total_mib)} GiB{unified}",
                gib(reading.memory_free_mib),
                unknown if reading.utilization_percent is None else f"{reading.utilization_percent} %",
                unknown if reading.temperature_c is None else f"{reading.temperature_c} °C",
                power,
                state,
                reading.gpu.uuid,
            )
        )
    print_table(("GPU", "NAME", "USED", "FREE", "UTIL", "TEMP", "POWER", "STATE", "UUID"), rows)


def _print_processes(snapshot: Snapshot) -> None:
    if not snapshot.inventory.gpus:
        report_no_gpus(snapshot)
        return
    rows = []
    for reading in snapshot.readings:
        for process in reading.processes or ():
            owner = json_form.owner_of(process, snapshot)
            place = (
                owner.name
                if owner
                else (f"container {process.container_id[:12]}" if process.container_id else "foreign")
            )
            rows.append(
                (
                    reading.gpu.label,
                    str(process.pid),
                    process.user or "?",
                    gib(process.memory_mib),
                    place,
                    (process.command or "?")[:80],
                )
            )
    print_table(("GPU", "PID", "USER", "GiB", "SERVICE", "COMMAND"), rows)


GPUS = Look(as_json=json_form.gpus_body, as_text=_print_gpus, exit_code=gpus_code)
PROCESSES = Look(as_json=json_form.processes_body, as_text=_print_processes, exit_code=gpus_code)


def _gpus(controller: Controller, arguments: argparse.Namespace) -> int:
    if arguments.rescan:
        controller.watch.rescan()
    return GPUS.run(controller, arguments)


def _gpus_arguments(parser: argparse.ArgumentParser) -> None:
    GPUS.arguments(parser)
    parser.add_argument("--rescan", action="store_true", help="look for new GPUs first")


VERBS = (
    Verb(
        name="gpus",
        summary="the GPUs and their readings",
        run=_gpus,
        arguments=_gpus_arguments,
        examples=(("gpus", "a line for each GPU"), ("gpus --json --watch", "one JSON object a second")),
    ),
    Verb(
        name="processes",
        summary="the processes on the GPUs",
        run=PROCESSES.run,
        arguments=PROCESSES.arguments,
        examples=(("processes", "who holds which GPU: user, container, service"),),
    ),
)
