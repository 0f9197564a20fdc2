"""The findings of the selected service, under the table."""

from gputui.app.lines import Run
from gputui.app.widgets.hanging_lines import HangingLines, Marked
from gputui.domain.finding import Finding
from gputui.domain.service import Service
from gputui.domain.snapshot import Snapshot

MARKS = {"refusal": "✗", "error": "✗", "warning": "▲", "info": "·"}
MEANINGS = {"refusal": "error", "error": "error", "warning": "warning", "info": ""}
"""The style of a cell with such a mark."""
STYLES = {"refusal": "lost", "error": "lost", "warning": "planned", "info": "dim"}
"""The style of a line with such a mark."""


class FindingLine(HangingLines):
    """At most two findings with their fix, those that only inform left out; empty when there is nothing to say."""

    def __init__(self) -> None:
        super().__init__(most=4)

    def show(self, snapshot: Snapshot, service: Service | None) -> None:
        """Take in new values."""
        lines: list[Marked] = []
        if snapshot.engine.info is None and not snapshot.engine.pending:
            text = f"monitoring only: {snapshot.engine.reason}"
            text += f" — {snapshot.engine.fix}" if snapshot.engine.fix else ""
            lines.append((Run(" ▲ ", "planned"), Run(text, "planned")))
        if service is not None:
            grave = (one for one in snapshot.findings if one.severity != "info")
            found = [one for one in grave if one.service == service.name]
            taken = next((one for one in snapshot.findings if one.service == service.name and one.edits), None)
            lines += [marked(one, " (F does it)" if one is taken else "") for one in found[: 2 - len(lines)]]
        if not lines:
            rest = [one for one in snapshot.findings if one.severity in ("warning", "error", "refusal")]
            lines += [marked(one) for one in rest[:1]]
        self.say(lines)


def marked(finding: Finding, more: str = "") -> Marked:
    """The finding and its fix, behind the mark of how grave it is."""
    style = STYLES[finding.severity]
    return Run(f" {MARKS[finding.severity]} ", style), Run(f"{finding.line}{more}", style)
