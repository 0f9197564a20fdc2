"""The form for a new service, with a preview of the change to the Compose file."""

import shlex

from textual import getters, on, work
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.suggester import SuggestFromList
from textual.widgets import Input, OptionList, Static

from gputui.app.background import in_thread
from gputui.app.widgets.prompt import TextField, focus_now
from gputui.controller.protocols import ComposeFiles
from gputui.domain.compose import FileEdit, NewService
from gputui.domain.errors import GputuiError
from gputui.domain.snapshot import Snapshot

FIELDS = (
    ("name", "name", "e.g. ai-chat"),
    ("image", "image (type, → completes)", "e.g. vllm/vllm-openai:v0.11.0"),
    ("command", "command", "e.g. --model /models/Qwen3-8B"),
    ("ports", "port (host:container)", "e.g. 8001:8000"),
    ("mounts", "model path (host:container)", "e.g. /models:/models:ro"),
    ("gpus", "GPUs (0,2 · none)", "e.g. 0"),
)


class NewServiceForm(ModalScreen[FileEdit | None]):
    """Returns the previewed edit of the Compose file, or None."""

    BINDINGS = [
        Binding("escape", "leave", "leave", id="new.leave"),
        Binding("ctrl+s", "write", "write", id="new.write"),
    ]

    problem = getters.query_one("#new-problem", Static)

    def __init__(self, compose_files: ComposeFiles, snapshot: Snapshot) -> None:
        super().__init__()
        self._compose_files = compose_files
        self._snapshot = snapshot
        self._edit: FileEdit | None = None

    def compose(self) -> ComposeResult:
        """The fields, the available images, and the diff."""
        with Vertical(classes="dialog wide-dialog"):
            yield Static("New service", classes="dialog-title", markup=False)
            with Horizontal(id="new-halves"):
                with Vertical(id="new-fields"):
                    for name, title, example in FIELDS:
                        yield Static(title, markup=False)
                        yield TextField(id=f"new-{name}", placeholder=example)
                yield OptionList(id="new-images", compact=True, markup=False)
                with VerticalScroll(id="new-diff"):
                    yield Static("", id="new-diff-text", markup=False)
            yield Static("", id="new-problem", markup=False)
            keys = " tab next   enter look at the difference   ctrl+s write   esc back "
            yield Static(keys, classes="dialog-keys", markup=False)

    def on_mount(self) -> None:
        """Load the images and a free port."""
        self.query_one("#new-diff").display = False
        self._ask()

    @work(group="new")
    async def _ask(self) -> None:
        try:
            images = await in_thread(self._compose_files.image_names)
            port = await in_thread(self._compose_files.free_port)
        except GputuiError as error:
            self.problem.update(f" {error.what}")
            return
        self.query_one("#new-images", OptionList).add_options(images)
        self.query_one("#new-image", Input).suggester = SuggestFromList(images, case_sensitive=False)
        ports = self.query_one("#new-ports", Input)
        if not ports.value:
            ports.value = f"{port}:8000"

    @on(OptionList.OptionSelected)
    def _image_chosen(self, message: OptionList.OptionSelected) -> None:
        message.stop()
        field = self.query_one("#new-image", Input)
        field.value = str(message.option.prompt)
        focus_now(field)

    def _new_service(self) -> NewService:
        values = {name: self.query_one(f"#new-{name}", Input).value.strip() for name, _, _ in FIELDS}
        gpus = "" if values["gpus"].lower() == "none" else values["gpus"]
        return NewService(
            name=values["name"],
            image=values["image"],
            command=tuple(shlex.split(values["command"])),
            ports=tuple(port.strip() for port in values["ports"].split(",") if port.strip()),
            mounts=tuple(mount.strip() for mount in values["mounts"].split(",") if mount.strip()),
            gpus=tuple(gpu.strip() for gpu in gpus.split(",") if gpu.strip()),
        )

    @on(Input.Submitted)
    @work(exclusive=True, group="propose")
    async def _propose(self) -> None:
        self._edit = None
        try:
            service = self._new_service()
            self._edit = await in_thread(lambda: self._compose_files.propose(service))
        except ValueError:
            self.problem.update(" ✗ command: a quotation mark is not closed")
            return
        except GputuiError as error:
            self.problem.update(f" ✗ {error.line}")
            return
        self.problem.update(" this would be written; ctrl+s writes it, esc goes back to the fields")
        self.query_one("#new-diff-text", Static).update("\n".join(self._edit.diff))
        self._show_diff(visible=True)

    def _show_diff(self, *, visible: bool) -> None:
        self.query_one("#new-diff").display = visible
        self.query_one("#new-fields").display = self.query_one("#new-images").display = not visible
        if visible:
            focus_now(self.query_one("#new-diff"))
        else:
            focus_now(self.query_one("#new-name"))

    def action_write(self) -> None:
        """Write the previewed edit, or preview it first."""
        if self._edit is None:
            self._propose()
        else:
            self.dismiss(self._edit)

    def action_leave(self) -> None:
        """Return to the fields, or leave."""
        if self._edit is not None:
            self._edit = None
            self.problem.update("")
            self._show_diff(visible=False)
        else:
            self.dismiss(None)
