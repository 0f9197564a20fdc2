"""Everything known about one service."""

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Log, Static

from gputui.app.background import in_thread
from gputui.app.dialogs.scrolled_text import Scrolled
from gputui.controller.protocols import ComposeFiles
from gputui.domain.errors import GputuiError
from gputui.domain.gpu import labels_by_uuid
from gputui.domain.service import Service
from gputui.domain.snapshot import Snapshot
from gputui.domain.text import mask_secret
from gputui.domain.units import gib

MAX_ROWS = 200
"""Rows of the engine's answer; a longer one scrolls on its own."""


class Inspect(Scrolled):
    """A service as text, as a `docker run` command, and as a request to the engine."""

    SCROLLED = VerticalScroll
    BINDINGS = [
        Binding("escape,q,i", "dismiss(None)", "back", id="inspect.back"),
    ]

    def __init__(self, compose_files: ComposeFiles, service: Service, snapshot: Snapshot) -> None:
        super().__init__()
        self._compose_files = compose_files
        self._service = service
        self._snapshot = snapshot

    def compose(self) -> ComposeResult:
        """The title and the text."""
        with Vertical(classes="dialog wide-dialog"):
            yield Static(self._service.name, classes="dialog-title", markup=False)
            with VerticalScroll(classes="reading"):
                yield Static(service_text(self._service, self._snapshot), id="inspect-words", markup=False)
                yield Static("\n asking the engine…", id="inspect-command", markup=False)
                yield Log(id="inspect-spec", highlight=False)
            yield Static(" j k scroll    esc back ", classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Request the command and the specification."""
        self._ask()

    @work(exclusive=True, group="inspect")
    async def _ask(self) -> None:
        key = self._service.key
        try:
            command = await in_thread(lambda: self._compose_files.run_command(key))
            body = await in_thread(lambda: self._compose_files.create_body(key))
        except GputuiError as error:
            self.query_one("#inspect-command", Static).update(f"\n{error.what}")
            return
        lines = body.splitlines()
        self.query_one("#inspect-command", Static).update(f"\nas a command:\n  {command}\n\nas the engine has it:")
        spec_log = self.query_one("#inspect-spec", Log)
        spec_log.styles.height = min(len(lines) + 1, MAX_ROWS)
        spec_log.auto_scroll = False
        spec_log.write_lines(lines)


def _edits(service: Service) -> str:
    """Changed arguments with their values, secrets masked."""
    parts = []
    for edit in service.edits:
        value = "taken away" if edit.value is None else mask_secret(edit.argument, edit.value)
        parts.append(f"{edit.argument} {value}")
    return "; ".join(parts)


def _measured(service: Service) -> str:
    """The memory that the backend reported, compared with the prediction."""
    usage = service.measured
    if usage is None:
        return "nothing yet: it is read from its log once it has loaded"
    amounts = (("weights", usage.weights_mib), ("cache", usage.cache_mib), ("activations", usage.activation_mib))
    parts = [f"{name} {gib(mib)}" for name, mib in (*amounts, ("graphs", usage.graphs_mib)) if mib is not None]
    error = service.prediction_error
    predicted = "" if error is None else f"; weights predicted {gib(service.requirement.weights_mib)} ({error:+.1%})"
    return f"{', '.join(parts)} GiB{predicted}"


def service_text(service: Service, snapshot: Snapshot) -> str:
    """Assigned, requested and visible GPUs, the memory requirement and its source, and the findings."""
    labels = labels_by_uuid(snapshot.inventory.gpus)

    def gpus(uuids: tuple[str, ...] | None) -> str:
        return "not known" if uuids is None else ", ".join(labels.get(uuid, uuid) for uuid in uuids) or "none"

    container = service.container
    need = service.requirement
    rows = [
        ("origin", f"{service.origin}{', adopted' if service.adopted else ''}"),
        ("image", service.image),
        ("backend", service.backend),
        ("model", service.model or "–"),
        ("state", f"{service.state}{', ' + container.health if container and container.health else ''}"),
        ("container", f"{container.name} {container.id[:12]}" if container else "none"),
        ("GPUs assigned", gpus(service.assigned)),
        ("GPUs asked for", gpus(service.requested)),
        ("GPUs in use", gpus(service.running_on)),
        ("needs", f"{gib(need.claim_mib)} GiB on each GPU ({need.source}), at least {gib(need.minimum_mib)}"),
        ("measured", _measured(service)),
        ("VRAM budget", "none" if service.budget_mib is None else f"{gib(service.budget_mib)} GiB"),
        ("priority", str(service.priority)),
        ("depends on", ", ".join(service.depends_on) or "nothing"),
        ("if its GPU is gone", service.fallback),
        ("how it gets GPUs", service.mechanism or "as the engine's other services"),
        ("changed arguments", _edits(service) or "none"),
        ("drift", "; ".join(service.drift) or "none"),
        ("not as its file says", ", ".join(service.file_differences) or "nothing"),
    ]
    lines = [f"{name:22} {text}" for name, text in rows]
    finding_lines = [
        f"{finding.severity}: {finding.line}" for finding in snapshot.findings if finding.service == service.name
    ]
    return "\n".join([*lines, *(["", "findings:", *(f"  {line}" for line in finding_lines)] if finding_lines else [])])
