"""The controller of this machine, assembled from its six parts."""

from functools import cached_property
from typing import TYPE_CHECKING

from gputui.controller.local_draft import LocalDraft
from gputui.controller.local_history import LocalHistory
from gputui.controller.local_logs import LocalLogs
from gputui.controller.local_watch import LocalWatch
from gputui.controller.saved_state import SavedState
from gputui.controller.settings import Settings
from gputui.controller.watch.compose_watch import ComposeWatch
from gputui.controller.watch.gpu_watch import GpuWatch
from gputui.controller.watch.sampler import Sampler
from gputui.engine.protocol import Engine

if TYPE_CHECKING:
    from gputui.controller.local_applies import LocalApplies
    from gputui.controller.local_compose_files import LocalComposeFiles


class LocalController:
    """Implements `Controller` over a watch of the GPUs, which may already run, an engine and a Compose project.

    Parts that only act are imported when needed: the first frame must not wait for them.
    """

    def __init__(self, gpus: GpuWatch, engine: Engine, compose: ComposeWatch, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._sampler = Sampler(gpus, engine, compose, settings)
        self._saved = SavedState(self._sampler, settings)
        self.draft = LocalDraft(self._sampler, self._saved, settings)
        self.watch = LocalWatch(self._sampler, self.draft, self._saved, settings)
        self.history = LocalHistory(self._sampler, self.draft, self._saved, settings)
        self.logs = LocalLogs(engine, self.watch, self._saved)
        gpus.on_change(self._sampler.note_change)  # last, because the watch may already run

    @cached_property
    def applies(self) -> "LocalApplies":
        """Plans and applies."""
        from gputui.controller.local_applies import LocalApplies  # noqa: PLC0415

        return LocalApplies(self._engine, self._sampler, self.watch, self.draft, self._saved, self._settings)

    @cached_property
    def compose_files(self) -> "LocalComposeFiles":
        """The definitions of services."""
        from gputui.controller.local_compose_files import LocalComposeFiles  # noqa: PLC0415

        return LocalComposeFiles(self._engine, self._sampler, self.watch, self._settings)
