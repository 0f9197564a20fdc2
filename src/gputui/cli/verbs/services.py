"""`services`: the GPUs, needs and state of each service."""

from gputui.cli import json_form
from gputui.cli.looking import Look, engine_code, report_no_engine
from gputui.cli.output import labels, print_table, say, state_text
from gputui.cli.verb import Verb
from gputui.domain.service import Service
from gputui.domain.snapshot import Snapshot
from gputui.domain.units import gib


def _needs(service: Service) -> str:
    if service.budget_mib is not None:
        return f"{gib(service.budget_mib)} budget"
    return f"{gib(service.requirement.claim_mib)} {service.requirement.source}"


def _print_services(snapshot: Snapshot) -> None:
    if not snapshot.engine.info:
        report_no_engine(snapshot)
        return
    rows = [
        (
            service.name,
            service.key.project or "–",
            service.backend,
            service.model or "–",
            _needs(service),
            service.assigned_text(labels(service.assigned, snapshot)),
            labels(service.running_on, snapshot),
            state_text(service),
            "" if service.origin == "compose" or service.adopted else "unmanaged",
        )
        for service in snapshot.services
    ]
    if not rows:
        say("no service uses a GPU")
        return
    print_table(("SERVICE", "PROJECT", "BACKEND", "MODEL", "NEEDS/GPU GiB", "GPUS", "ON", "STATE", ""), rows)


SERVICES = Look(as_json=json_form.services_body, as_text=_print_services, exit_code=engine_code, probes=True)

VERBS = (
    Verb(
        name="services",
        summary="the services: assigned, requested and observed GPUs",
        run=SERVICES.run,
        arguments=SERVICES.arguments,
        examples=(("services", "a line for each service"), ("services --json", "with requirements and drift")),
    ),
)
