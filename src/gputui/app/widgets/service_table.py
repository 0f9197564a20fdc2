"""The table: which service has which GPUs, wants which, and how it is."""

from rich.text import Text
from textual.widgets import DataTable

from gputui.app.keymap import TABLE
from gputui.domain.service import Service, ServiceKey
from gputui.domain.snapshot import Snapshot
from gputui.domain.units import gib

WIDE = (("SERVICE", 20), ("BACKEND", 12), ("MODEL", 24), ("NEEDS/GPU", 14), ("GPUS", 14), ("ON", 6), ("STATE", 26))
NARROW = (("SERVICE", 16), ("NEEDS/GPU", 14), ("GPUS", 12), ("ON", 5), ("STATE", 22))

Columns = tuple[tuple[str, int], ...]


def columns_for(width: int) -> Columns:
    """The columns that fit; each takes two cells more than its width."""
    whole = sum(size + 2 for _, size in WIDE) + 1
    return (
        WIDE if width >= whole else tuple(one for one in WIDE if one[0] != "BACKEND") if width >= whole - 14 else NARROW
    )


Row = dict[str, Text]


class ServiceTable(DataTable[Text]):
    """Rows keyed by service; cells change one by one, so that cursor and scrolling stay."""

    BINDINGS = [*TABLE]

    def __init__(self, **options: str) -> None:
        super().__init__(cursor_type="row", **options)  # type: ignore[arg-type]
        self._columns: Columns = ()
        self._snapshot: Snapshot | None = None
        self._shown: dict[str, Row] = {}
        self.filter_text = ""

    def on_resize(self) -> None:
        """Columns of fixed width for the room there is: measuring them anew costs at every change."""
        columns = columns_for(self.size.width)
        if columns == self._columns:
            return
        self._columns = columns
        selected = self.selected_key
        self.clear(columns=True)
        for title, width in columns:
            self.add_column(title, width=width, key=title)
        self._shown = {}
        if self._snapshot is not None:
            self.show(self._snapshot, selected)

    def show(self, snapshot: Snapshot, selected: ServiceKey | None = None) -> None:
        """Bring the rows in line with the snapshot."""
        self._snapshot = snapshot
        if not self._columns:
            return
        wanted = {
            str(service.key): _cells(service, snapshot) for service in snapshot.services if self._matches(service)
        }
        if list(wanted) != list(self._shown):
            self._rebuild(wanted, selected or self.selected_key)
        for key, cells in wanted.items():
            for title, _ in self._columns:
                if cells[title] != self._shown[key][title]:
                    self.update_cell(key, title, cells[title])
        self._shown = wanted

    def _matches(self, service: Service) -> bool:
        words = f"{service.name} {service.backend} {service.model or ''} {service.state} {service.key.project}"
        return self.filter_text.lower() in words.lower()

    def _rebuild(self, wanted: dict[str, Row], selected: ServiceKey | None) -> None:
        self.clear()
        for key, cells in wanted.items():
            self.add_row(*(cells[title] for title, _ in self._columns), key=key)
        if selected is not None and str(selected) in wanted:
            # At once, or the row that the cursor is on for a moment would be taken for the person's choice.
            self.move_cursor(row=list(wanted).index(str(selected)), animate=False)
        self._shown = wanted

    @property
    def selected_key(self) -> ServiceKey | None:
        """The service under the cursor."""
        if not self.row_count or not self.is_valid_row_index(self.cursor_row):
            return None
        value = self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value
        return ServiceKey.parse(value) if value else None


def _labels(uuids: tuple[str, ...] | None, snapshot: Snapshot) -> str:
    if uuids is None:
        return "?"
    names = {gpu.uuid: gpu.label for gpu in snapshot.inventory.gpus}
    return ",".join(names.get(uuid, f"{uuid[:8]}?") for uuid in uuids) or "–"


def _cells(service: Service, snapshot: Snapshot) -> Row:
    saved = snapshot.draft.saved.of(service.key)
    edited = service.key in snapshot.draft.changed
    now = _labels(service.requested, snapshot) if service.container else "–"
    wanted = _labels(service.assigned, snapshot)
    gpus = wanted if now == wanted else f"{now} → {wanted}"
    need = service.requirement
    amount = f"{gib(need.claim_mib)} {need.source}" if need.claim_mib is not None else "unknown"
    if service.budget_mib is not None:
        amount = f"{gib(service.budget_mib)} budget"
    dim = "" if service.enabled else "dim"
    changed = "bold" if edited else ("italic" if saved and saved.adopted and now != wanted else dim)
    return {
        "SERVICE": Text(service.name + (" *" if edited else ""), style="bold" if edited else dim),
        "BACKEND": Text(service.backend, style=dim),
        "MODEL": Text(_short_model(service.model), style=dim),
        "NEEDS/GPU": Text(amount, style=dim),
        "GPUS": Text(gpus, style=changed),
        "ON": Text(_labels(service.running_on, snapshot), style=dim),
        "STATE": _state(service, snapshot),
    }


def _short_model(model: str | None) -> str:
    return (model or "–").rstrip("/").rpartition("/")[2][:24]


def _state(service: Service, snapshot: Snapshot) -> Text:
    worst = next((one for one in snapshot.findings if one.service == service.name), None)
    if worst is not None and worst.severity in ("refusal", "error", "warning"):
        mark = "▲" if worst.severity == "warning" else "✗"
        return Text(f"{mark} {_in_short(worst.code, service, snapshot)}", style="bold")
    container = service.container
    words = [service.state]
    if container is not None and container.health:
        words.append(container.health)
    if container is not None and container.exit_code:
        words.append(f"code {container.exit_code}")
    if not service.enabled:
        words.append("disabled")
    elif service.drift:
        words.append("drift")
    if service.origin == "found" and not service.adopted:
        words.append("found")
    return Text(", ".join(words), style="" if service.enabled else "dim")


def _in_short(code: str, service: Service, snapshot: Snapshot) -> str:
    over = [one for one in snapshot.memory if one.over and one.uuid in service.assigned]
    if code in ("too-big", "sum-too-big", "foreign-memory") and over:
        most = min(one.free_after_mib or 0 for one in over)
        return f"over by {gib(-most)} GiB"
    return code.replace("-", " ")
