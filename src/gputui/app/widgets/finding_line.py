"""The findings of the selected service, under the table."""

from gputui.app.render.styled import RUNS, Run
from gputui.app.widgets.hanging_lines import HangingLines, Marked
from gputui.domain.finding import MARKS, SEVERITIES, Finding
from gputui.domain.service import Service
from gputui.domain.snapshot import Snapshot
from gputui.domain.text import with_fix


class FindingLine(HangingLines):
    """At most two findings with their fix, those that only inform left out; empty when there is nothing to say. What is
    said of others is said to be so."""

    def __init__(self) -> None:
        super().__init__(most=4)

    def show(self, snapshot: Snapshot, service: Service | None) -> None:
        """Take in new values."""
        lines: list[Marked] = []
        if snapshot.engine.info is None and not snapshot.engine.pending:
            text = with_fix(f"monitoring only: {snapshot.engine.reason}", snapshot.engine.fix)
            lines.append((Run(" ▲ ", "finding"), (Run(text, "finding"),)))
        grave = [one for one in snapshot.findings if one.severity != "info"]
        own = [one for one in grave if service is not None and one.service == service.name]
        taken = next((one for one in snapshot.findings if service and one.service == service.name and one.edits), None)
        lines += [marked(one, " (F does it)" if one is taken else "") for one in own[: 2 - len(lines)]]
        if not lines and grave:
            worst = min(grave, key=lambda one: SEVERITIES.index(one.severity))
            mark, words = marked(worst, f" ({len(grave) - 1} more: f)" if len(grave) > 1 else "")
            lines.append((mark, words if service is None else (Run("elsewhere: ", "dim"), *words)))
        self.say(lines)


def marked(finding: Finding, more: str = "") -> Marked:
    """The finding and its fix, behind the mark of how grave it is."""
    style = RUNS[finding.severity]
    return Run(f" {MARKS[finding.severity]} ", style), (Run(f"{finding.line}{more}", style),)
