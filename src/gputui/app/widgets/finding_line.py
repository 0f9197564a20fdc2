"""The findings of the selected service, under the table."""

from gputui.app.render.styled import RUNS, Run
from gputui.app.widgets.hanging_lines import HangingLines, Marked
from gputui.domain.finding import MARKS, SEVERITIES, Finding
from gputui.domain.service import Service
from gputui.domain.snapshot import Snapshot
from gputui.domain.text import with_fix


class FindingLine(HangingLines):
    """At most two findings with their fixes, without those of severity info. Without any, the most severe one about
    another service is shown."""

    def __init__(self) -> None:
        super().__init__(max_lines=4)

    def show(self, snapshot: Snapshot, service: Service | None) -> None:
        """Update the lines."""
        lines: list[Marked] = []
        if snapshot.engine.info is None and not snapshot.engine.pending:
            text = with_fix(f"monitoring only: {snapshot.engine.reason}", snapshot.engine.fix)
            lines.append((Run(" ▲ ", "finding"), (Run(text, "finding"),)))
        severe = [finding for finding in snapshot.findings if finding.severity != "info"]
        service_findings = [finding for finding in severe if service is not None and finding.service == service.name]
        fixable = next(
            (finding for finding in snapshot.findings if service and finding.service == service.name and finding.edits),
            None,
        )
        lines += [
            marked(finding, " (F does it)" if finding is fixable else "")
            for finding in service_findings[: 2 - len(lines)]
        ]
        if not lines and severe:
            worst = min(severe, key=lambda finding: SEVERITIES.index(finding.severity))
            mark, words = marked(worst, f" ({len(severe) - 1} more: f)" if len(severe) > 1 else "")
            lines.append((mark, words if service is None else (Run("elsewhere: ", "dim"), *words)))
        self.say(lines)


def marked(finding: Finding, suffix: str = "") -> Marked:
    """The finding and its fix, after the mark of its severity."""
    style = RUNS[finding.severity]
    return Run(f" {MARKS[finding.severity]} ", style), (Run(f"{finding.line}{suffix}", style),)
