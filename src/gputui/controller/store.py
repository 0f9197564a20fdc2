"""The saved state of the engine: revisions, applies, and the files beside the Compose file."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gputui.compose.generated import (
    ASSIGNMENTS_NAME,
    Overridden,
    assignments_text,
    override_text,
)
from gputui.domain.assignment import Assignments
from gputui.domain.compose import OVERRIDE_NAME, ComposeProject, ComposeService
from gputui.domain.errors import Conflict, GputuiError, Refusal
from gputui.domain.gpu import Gpu
from gputui.domain.injection import HostAccess
from gputui.domain.message import Message, message
from gputui.domain.service import Edit, Service
from gputui.planning.changes.argument_edit import with_argument
from gputui.planning.changes.container_view import view_of
from gputui.planning.changes.draft_edit import current_assignment
from gputui.planning.changes.spec_edit import gib_down
from gputui.planning.needs.budget import all_edits
from gputui.state.applies import Applies
from gputui.state.database import Database
from gputui.state.peaks import Peaks
from gputui.state.revisions import Revisions, revision_after
from gputui.state.saved_files import SavedFiles


class Store:
    """The contents of one state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.database = Database(directory / "state.sqlite3")
        self.revisions = Revisions(self.database)
        self.applies = Applies(self.database)
        self.peaks = Peaks(self.database)
        self.files = SavedFiles(self.database, directory)

    def version(self) -> int:
        """Changes whenever anybody changes the state."""
        return self.database.version()

    def save(
        self,
        base: int,
        assignments: Assignments,
        *,
        author: str,
        reason: Message,
        services: Sequence[Service],
        as_found: Sequence[Service],
        gpus: Sequence[Gpu],
        project: ComposeProject | None,
        access: HostAccess,
    ) -> Assignments:
        """Save the next revision with its files, atomically.

        The first one is preceded by a revision of the original assignments, so that there is something to roll back to.
        Services that nobody edited are recorded as they are, not adopted.

        Raises:
            Conflict: somebody saved a newer revision than `base`.
        """
        with self.files.one_saver():
            newest = self.revisions.latest()
            if newest.revision != base:
                raise Conflict(
                    f"{newest.author} saved revision {newest.revision} meanwhile", "look at the change, then save again"
                )
            revisions = []
            if newest.revision == 0:
                original = Assignments(items=tuple(current_assignment(service) for service in as_found))
                revisions.append(revision_after(newest, original, author=author, reason=message("as-found")))
                newest = revisions[0]
            complete = assignments
            for service in services:
                if assignments.of(service.key) is None:
                    complete = complete.having(current_assignment(service))
            revisions.append(revision_after(newest, complete, author=author, reason=reason))
            with self.files.together(_texts(revisions[-1], services, gpus, project, access)) as connection:
                for revision in revisions:
                    self.revisions.insert(connection, revision)
        return revisions[-1]


def _texts(
    saved: Assignments,
    services: Sequence[Service],
    gpus: Sequence[Gpu],
    project: ComposeProject | None,
    access: HostAccess,
) -> dict[Path, str]:
    if project is None:
        return {}
    folder = Path(project.directory)
    overridden = []
    for item in saved.items:
        service = next((service for service in services if service.key == item.key), None)
        if service is None or service.origin != "compose" or not (item.adopted or item.gpus):
            continue
        try:
            view = view_of(service, gpus, item.gpus, access)
        except GputuiError:
            continue  # its GPUs cannot be injected: a finding on its row says why
        variables = {}
        if item.budget_mib is not None and service.budget_env is not None:
            variables[service.budget_env] = gib_down(item.budget_mib)
        declared = project.service(item.key.name)
        edits = all_edits(service, gpus) if item.adopted else ()
        overridden.append(
            Overridden(
                item=item,
                view=view,
                variables=variables,
                command=_changed_command(declared, edits),
                capabilities=declared.capabilities if declared else (),
                options=_request_options(declared),
            )
        )
    return {
        folder / ASSIGNMENTS_NAME: assignments_text(saved, gpus),
        folder / OVERRIDE_NAME: override_text(saved, project, overridden),
    }


def _request_options(declared: ComposeService | None) -> dict[str, str]:
    """The options of the last GPU request in the file, which is the one that counts."""
    requests = (declared.body.get("HostConfig") or {}).get("DeviceRequests") if declared else None
    return dict(requests[-1].get("Options") or {}) if requests else {}


def _changed_command(declared: ComposeService | None, edits: Sequence[Edit]) -> list[str] | None:
    """The command of a service with its changed arguments; None if nothing changed or the file has no command."""
    if declared is None or not edits or not declared.body.get("Cmd"):
        return None
    entrypoint = [str(word) for word in declared.body.get("Entrypoint") or []]
    words = [*entrypoint, *(str(word) for word in declared.body["Cmd"])]
    for edit in edits:
        with suppress(Refusal):
            words = with_argument(words, edit.argument, edit.value)
    return words[len(entrypoint) :]
