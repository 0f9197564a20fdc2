"""The findings pane."""

from textual import on
from textual.app import ComposeResult
from textual.message import Message
from textual.widgets import DataTable

from gputui.app.config.keymap import FINDINGS
from gputui.app.render.columns import Column, Row, cell
from gputui.app.render.styled import CELLS
from gputui.app.widgets.finding_line import marked
from gputui.app.widgets.hanging_lines import HangingLines
from gputui.app.widgets.table_pane import TablePane
from gputui.domain.finding import MARKS, SEVERITIES, Finding
from gputui.domain.gpu import labels_by_uuid
from gputui.domain.snapshot import Snapshot

COLUMNS = (
    Column(title=" ", width=1),
    Column(title="SERVICE", width=16, grows=False),
    Column(title="GPU", width=4, rank=2),
    Column(title="FINDING", width=30, grows=True),
    Column(title="WHAT TO DO", width=30, rank=1, grows=True),
)


class FindingPane(TablePane):
    """A table of findings; the selected one is shown in full below."""

    BINDINGS = [*FINDINGS]

    class Chosen(Message):
        """The user wants to go to this service, or to see this GPU."""

        def __init__(self, service: str | None, gpu: str | None) -> None:
            super().__init__()
            self.service = service
            self.gpu = gpu

    def __init__(self, **options: str) -> None:
        super().__init__(COLUMNS, **options)
        self._findings: dict[str, Finding] = {}

    def compose(self) -> ComposeResult:
        """The table, and the full text of the selected finding."""
        yield from super().compose()
        yield HangingLines(max_lines=3, classes="pane-foot")

    def show(self, snapshot: Snapshot) -> None:
        """Update the table."""
        labels = labels_by_uuid(snapshot.inventory.gpus)
        notes = (Finding(code="note", severity="warning", text=note.text) for note in snapshot.notes)
        findings = sorted((*notes, *snapshot.findings), key=lambda finding: SEVERITIES.index(finding.severity))
        self._findings = {
            f"{finding.code} {finding.service} {finding.gpu} {finding.text}": finding for finding in findings
        }
        rows = [_row(key, finding, labels) for key, finding in self._findings.items()]
        counts = {name: sum(finding.severity == name for finding in findings) for name in SEVERITIES}
        head = " · ".join(_counted(count, name) for name, count in counts.items() if count)
        self.show_rows(head or "no findings", rows)
        self._write_out()

    @on(DataTable.RowHighlighted)
    def _write_out(self) -> None:
        finding = self._findings.get(self.table.selected_key or "")
        self.query_one(HangingLines).say([] if finding is None else [marked(finding)])

    @on(DataTable.RowSelected)
    def _row_entered(self, message: DataTable.RowSelected) -> None:
        message.stop()
        self.action_jump()

    def action_jump(self) -> None:
        """Go to the service or GPU of the selected finding."""
        finding = self._findings.get(self.table.selected_key or "")
        if finding is not None:
            self.post_message(self.Chosen(finding.service, finding.gpu))


def _counted(count: int, name: str) -> str:
    return f"{count} {name}s" if count > 1 and name != "info" else f"{count} {name}"


def _row(key: str, finding: Finding, labels: dict[str, str]) -> Row:
    cells = {
        " ": cell(MARKS[finding.severity], CELLS[finding.severity]),
        "SERVICE": cell(finding.service or "–"),
        "GPU": cell(labels.get(finding.gpu or "", "–")),
        "FINDING": cell(finding.text),
        "WHAT TO DO": cell(finding.fix),
    }
    return Row(key=key, cells=cells, sort={" ": SEVERITIES.index(finding.severity)})
