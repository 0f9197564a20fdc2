"""A plan as text for a confirmation: pure functions."""

import re

from textual.content import Content

from gputui.app.render.values import duration_text
from gputui.domain.finding import MARKS
from gputui.domain.plan import Plan


def downtime(plan: Plan) -> str:
    """The downtime during the apply; empty if there is none."""
    names = [step.name for step in plan.doing if step.action in ("recreate", "restart", "stop")]
    lasting = [step.name for step in plan.doing if step.action == "stop"]
    durations = [step.down_s for step in plan.doing if step.action in ("recreate", "restart") and step.down_s]
    if not names:
        return ""
    if lasting == names:
        return f"{', '.join(names)} will stop."
    usual = f", about {duration_text(sum(durations))} in all by what is known of their models" if durations else ""
    return f"{', '.join(names)} will be away until the new start answers{usual}."


_UUID = re.compile(r"\b((?:GPU|MIG)-[0-9a-f]{8})-[0-9a-f-]{27}\b")


def short_uuids(text: str) -> str:
    """Shorten GPU UUIDs to their first part."""
    return _UUID.sub(r"\1…", text)


def describe(plan: Plan) -> Content:
    """The downtime, the findings, and the steps with their changes."""
    lines = [Content(f" {downtime(plan)}")] if downtime(plan) else []
    for severity, style in (("refusal", "$error"), ("error", "$error"), ("warning", "$warning")):
        texts = [finding.text for finding in plan.findings if finding.severity == severity]
        lines += [Content.styled(f" {MARKS[severity]} {text}", style) for text in texts]
    for number, step in enumerate(plan.doing, start=1):
        partners = [partner.name for partner in plan.doing if partner.unit == step.unit and partner is not step]
        together = f" (stopped and started together with {', '.join(partners)})" if partners else ""
        lines.append(Content(f" {number} {step.action} {step.name}: {step.cause}{together}"))
        lines += [Content.styled(f"     {short_uuids(line)}", "dim") for line in step.diff]
        if step.command:
            lines.append(Content.styled(f"     as {step.command}", "dim"))
    return Content("\n").join(lines)
