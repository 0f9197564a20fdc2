"""All strategies side by side: their assignments, the downtime, and how full each GPU would be."""

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import DataTable, Static

from gputui.app.background import in_thread
from gputui.controller.protocols import Draft
from gputui.domain.errors import GputuiError
from gputui.domain.gpu import labels_by_uuid
from gputui.domain.snapshot import Snapshot
from gputui.domain.strategy import STRATEGIES, StrategyName
from gputui.domain.suggestion import SuggestedGpu, Suggestion
from gputui.domain.units import gib

RESERVES_MIB = (0, 512, 1024, 2048, 4096, 8192)
BAR = 20
WIDE = 100
"""Terminal columns needed to show a bar."""
COLUMNS = (("STRATEGY", 10), ("MOVES", 5), ("DOWNTIME", 8), ("PLACED", 7), ("FULLEST", 7), ("", 11))


class Strategies(ModalScreen[Suggestion | None]):
    """Returns the chosen suggestion; comparing changes nothing."""

    BINDINGS = [
        Binding("escape,q", "cancel", "cancel", id="strategies.cancel"),
        Binding("plus,equals_sign", "reserve(1)", "more reserve", id="strategies.more"),
        Binding("minus", "reserve(-1)", "less reserve", id="strategies.less"),
        Binding("j", "cursor(1)", "down", id="strategies.down"),
        Binding("k", "cursor(-1)", "up", id="strategies.up"),
        Binding("f", "found", "unmanaged too", id="strategies.found"),
    ]

    table = getters.query_one("#strategies", DataTable)
    detail = getters.query_one("#strategy-detail", Static)
    title_line = getters.query_one("#strategy-title", Static)

    def __init__(self, draft: Draft, snapshot: Snapshot) -> None:
        super().__init__()
        self._draft = draft
        self._names = labels_by_uuid(snapshot.inventory.gpus)
        self._assigned = {service.key: service.assigned for service in snapshot.services}
        self._reserve = 0
        # If all services are unmanaged, excluding them would leave nothing to show.
        self._adopt = not any(
            service.enabled and (service.adopted or service.origin == "compose") for service in snapshot.services
        )
        self._suggestions: dict[StrategyName, Suggestion] = {}

    def compose(self) -> ComposeResult:
        """The table of strategies, and details of the highlighted one."""
        with Vertical(classes="dialog wide-dialog"):
            yield Static("", id="strategy-title", classes="dialog-title", markup=False)
            yield DataTable(id="strategies", cursor_type="row")
            with VerticalScroll(id="strategy-scroll"):
                yield Static("", id="strategy-detail", markup=False)
            yield Static(classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Fill the table and start to compute the suggestions."""
        for title, width in COLUMNS:
            self.table.add_column(title, width=width, key=title)
        for name in STRATEGIES:
            self.table.add_row(name, *("…" for _ in COLUMNS[1:]), key=name)
        self.table.focus()
        self._ask()

    def on_resize(self) -> None:
        """Show or hide the bar."""
        self._show_highlighted()

    def action_cursor(self, step: int) -> None:
        """Move the cursor to the next or previous strategy."""
        self.table.move_cursor(row=max(0, self.table.cursor_row + step))

    def action_reserve(self, step: int) -> None:
        """Increase or decrease the reserve on each GPU."""
        place = RESERVES_MIB.index(self._reserve) + step
        self._reserve = RESERVES_MIB[min(len(RESERVES_MIB) - 1, max(0, place))]
        self._ask()

    def action_found(self) -> None:
        """Include or exclude unmanaged containers."""
        self._adopt = not self._adopt
        self._ask()

    @work(exclusive=True, group="strategies")
    async def _ask(self) -> None:
        self._suggestions = {}
        scope_text = "found containers too" if self._adopt else "found containers stay"
        toggle_hint = "f leave unmanaged" if self._adopt else "f unmanaged too"
        keys = f" enter take over   + - reserve   {toggle_hint}   tab scroll   esc leave "
        self.query_one(".dialog-keys", Static).update(keys)
        self.title_line.update(Content(f"Strategies    reserve {gib(self._reserve)} GiB on every GPU    {scope_text}"))
        for name in STRATEGIES:
            try:
                suggestion = await in_thread(
                    lambda name=name: self._draft.suggest(name, self._reserve, adopt=self._adopt)  # type: ignore[misc]
                )
            except GputuiError as error:
                self.detail.update(Content(f" ✗ {error.what}"))
                return
            self._suggestions[name] = suggestion
            for (title, _), text in zip(COLUMNS[1:], _cells(suggestion), strict=True):
                self.table.update_cell(name, title, text)
            self._show_highlighted()

    @on(DataTable.RowHighlighted)
    def _show_highlighted(self) -> None:
        suggestion = self._highlighted()
        if suggestion is not None:
            self.detail.update(Content("\n").join(self._detail_lines(suggestion)))

    def _highlighted(self) -> Suggestion | None:
        names = list(STRATEGIES)
        row = self.table.cursor_row
        return self._suggestions.get(names[row]) if 0 <= row < len(names) else None

    def _detail_lines(self, suggestion: Suggestion) -> list[Content]:
        """Each GPU under all strategies, the highlighted one as a bar; then its assignments."""
        bar = BAR if self.size.width >= WIDE else 0
        head = " ".join(f"{name:>9}" for name in self._suggestions)
        lines = [Content.styled(f" {'GPU':>4} {suggestion.strategy[:bar]:{bar}} {head}  of GiB", "bold")]
        for place, gpu in enumerate(suggestion.gpus):
            forecasts = [candidate.gpus[place] for candidate in self._suggestions.values()]
            used = Content(" ").join(_used(forecast) for forecast in forecasts)
            lines.append(Content.assemble(f" {gpu.label:>4} ", _bar(gpu, bar), " ", used, f"  {gib(gpu.total_mib):>6}"))
        return [*lines, *self._words(suggestion)]

    def _words(self, suggestion: Suggestion) -> list[Content]:
        lines = [Content(""), Content(f" {suggestion.strategy}: {STRATEGIES[suggestion.strategy]}")]
        for assignment in suggestion.assignments:
            budget = (
                "" if assignment.budget_mib is None else f", budget {assignment.budget_mib * 10 // 1024 / 10:.1f} GiB"
            )
            if assignment.moved or assignment.adjusted:
                previous = self._labels(self._assigned.get(assignment.service, ()))
                lines.append(Content(f" {assignment.name}: {previous} → {self._labels(assignment.gpus)}{budget}"))
        for service in suggestion.unplaced:
            end = "" if service.stays else "; taking this disables it"
            lines.append(Content.styled(f" ▲ no place for {service.name}: {service.reason}{end}", "$warning"))
        lines += [Content(f" · {note}") for note in suggestion.notes]
        if suggestion.strategy != "manual" and not suggestion.moves and not suggestion.unplaced:
            lines.append(Content(" everything is where it would put it"))
        return lines

    def _labels(self, uuids: tuple[str, ...]) -> str:
        return ",".join(self._names.get(uuid, uuid[:12]) for uuid in uuids) or "–"

    @on(DataTable.RowSelected)
    def _chosen(self) -> None:
        suggestion = self._highlighted()
        if suggestion is not None:
            self.dismiss(suggestion if suggestion.strategy != "manual" else None)

    def action_cancel(self) -> None:
        """Close without a choice."""
        self.dismiss(None)


def _cells(suggestion: Suggestion) -> tuple[str, ...]:
    downtime = "–" if suggestion.down_s is None else f"≈{max(1, round(suggestion.down_s / 60))} min"
    total = len(suggestion.assignments) + len(suggestion.unplaced)
    fullest = max(((gpu.total_mib - gpu.free_after_mib) / gpu.total_mib for gpu in suggestion.gpus), default=0.0)
    proved = "proved best" if suggestion.proved_best else ""
    return (str(suggestion.moves), downtime, f"{len(suggestion.assignments)}/{total}", f"{fullest:.0%}", proved)


def _used(gpu: SuggestedGpu) -> Content:
    style = "bold $error" if gpu.free_after_mib < 0 else ""
    return Content.styled(f"{gib(gpu.planned_mib + gpu.foreign_mib):>9}", style)


def _bar(gpu: SuggestedGpu, width: int) -> Content:
    """A bar of services, foreign processes and free memory."""
    planned = min(width, round(gpu.planned_mib * width / gpu.total_mib))
    foreign = min(width - planned, round(gpu.foreign_mib * width / gpu.total_mib))
    free = width - planned - foreign
    parts = (("█" * planned, "$primary"), ("▓" * foreign, "$foreground 80%"), ("░" * free, "$foreground 40%"))
    return Content.assemble(*parts)
