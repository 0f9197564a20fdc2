"""The findings of the selected service, under the table."""

from textual.content import Content
from textual.widgets import Static

from gputui.domain.service import Service
from gputui.domain.snapshot import Snapshot

MARKS = {"refusal": "✗", "error": "✗", "warning": "▲", "info": "·"}


class FindingLine(Static):
    """At most two findings with their fix, those that only inform left out; empty when there is nothing to say."""

    def show(self, snapshot: Snapshot, service: Service | None) -> None:
        """Take in new values."""
        lines = []
        if snapshot.engine.info is None and not snapshot.engine.pending:
            lines.append(f" ▲ monitoring only: {snapshot.engine.reason}. {snapshot.engine.fix or ''}")
        if service is not None:
            grave = (one for one in snapshot.findings if one.severity != "info")
            found = [one for one in grave if one.service == service.name]
            taken = next((one for one in snapshot.findings if one.service == service.name and one.edits), None)
            for one in found[: 2 - len(lines)]:
                key = " (F does it)" if one is taken else ""
                lines.append(f" {MARKS[one.severity]} {one.text}. {one.fix}{key}")
        if not lines:
            rest = [one for one in snapshot.findings if one.severity in ("warning", "error", "refusal")]
            lines += [f" {MARKS[one.severity]} {one.text}. {one.fix}" for one in rest[:1]]
        content = Content("\n".join(lines))
        self.display = bool(lines)
        if content != self.content:
            self.update(content)
