"""`findings`: everything worth reporting."""

from gputui.cli import json_form
from gputui.cli.looking import Look, engine_code, report_no_engine
from gputui.cli.output import print_findings, say
from gputui.cli.verb import Verb
from gputui.domain.snapshot import Snapshot


def _print_findings(snapshot: Snapshot) -> None:
    print_findings(snapshot.findings)
    if not snapshot.engine.info:
        report_no_engine(snapshot)
    elif not snapshot.findings:
        say("no findings")


def _findings_code(snapshot: Snapshot) -> int:
    if any(finding.severity in ("error", "refusal") for finding in snapshot.findings):
        return 1
    return engine_code(snapshot)


FINDINGS = Look(
    as_json=lambda snapshot: json_form.findings_body(snapshot.findings),
    as_text=_print_findings,
    exit_code=_findings_code,
    probes=True,
)

VERBS = (
    Verb(
        name="findings",
        summary="everything that is worth saying; exit code 1 where something is an error",
        run=FINDINGS.run,
        arguments=FINDINGS.arguments,
        examples=(("findings", "each in a line, with its fix"),),
    ),
)
