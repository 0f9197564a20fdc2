"""The assignment of GPUs to services: a single assignment, the set of all, and the draft of a new set."""

from dataclasses import dataclass, replace

from gputui.domain.message import Message
from gputui.domain.service import Edit, ServiceKey

NO_REASON = Message("text", {"text": ""})
AS_FOUND = 1
"""The first revision: the state found before anything was saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A service's GPUs (UUIDs) in the operator's order.

    Only `adopted` assignments are applied; the others record the original state of a service, so that a rollback can
    restore it. A disabled one stays in the table, but its service does not run. `priority` None: that of its Compose
    file.
    """

    key: ServiceKey
    gpus: tuple[str, ...] = ()
    enabled: bool = True
    adopted: bool = False
    budget_mib: int | None = None
    edits: tuple[Edit, ...] = ()
    priority: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignments:
    """All assignments as one revision. Revision 0 is the empty set before anything was saved."""

    revision: int = 0
    author: str = ""
    saved_at: str = ""
    reason: Message = NO_REASON
    strategy: str = "manual"
    items: tuple[Assignment, ...] = ()

    def of(self, key: ServiceKey) -> Assignment | None:
        """The assignment of one service."""
        return next((item for item in self.items if item.key == key), None)

    def having(self, assignment: Assignment) -> "Assignments":
        """A copy with this assignment."""
        remaining = tuple(item for item in self.items if item.key != assignment.key)
        return replace(self, items=tuple(sorted((*remaining, assignment), key=lambda item: item.key)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The assignments as edited but not saved. `past` are the previous states, newest last: undo takes the last one and
    moves the undone state to `future`, for redo.

    `conflicts` are services that are edited here while somebody else saved another assignment for them: a person has
    to choose one of the two.
    """

    saved: Assignments
    current: Assignments
    past: tuple[Assignments, ...] = ()
    future: tuple[Assignments, ...] = ()
    conflicts: tuple[ServiceKey, ...] = ()

    @property
    def changed(self) -> tuple[ServiceKey, ...]:
        """The services whose assignment differs from the saved one."""
        if self.saved.items is self.current.items:
            return ()
        saved = {assignment.key: assignment for assignment in self.saved.items}
        current = {assignment.key: assignment for assignment in self.current.items}
        return tuple(sorted(key for key in saved.keys() | current.keys() if saved.get(key) != current.get(key)))

    @property
    def revision(self) -> int:
        """The saved revision, or the one that the draft will become; the state as found is saved before the first."""
        return max(self.saved.revision, AS_FOUND) + 1 if self.changed else self.saved.revision

    def edited(self, assignment: Assignment) -> "Draft":
        """With this assignment, as an edit that can be undone."""
        if self.current.of(assignment.key) == assignment:
            return self
        conflicts = tuple(key for key in self.conflicts if key != assignment.key)
        current = replace(self.current.having(assignment), strategy="manual")
        return replace(self.changed_to(current), conflicts=conflicts)

    def changed_to(self, current: Assignments) -> "Draft":
        """With these assignments, as one edit."""
        return replace(self, current=current, past=(*self.past, self.current), future=())

    def as_one_edit(self, earlier: "Draft") -> "Draft":
        """With all edits since `earlier` combined into one undo step."""
        if self.current == earlier.current:
            return self
        return replace(self, past=(*earlier.past, earlier.current))

    def undone(self) -> "Draft":
        """With the last edit undone; unchanged if there is none."""
        if not self.past:
            return self
        return replace(self, current=self.past[-1], past=self.past[:-1], future=(*self.future, self.current))

    def redone(self) -> "Draft":
        """With the last undone edit restored; unchanged if there is none."""
        if not self.future:
            return self
        return replace(self, current=self.future[-1], past=(*self.past, self.current), future=self.future[:-1])

    def rebased(self, saved: Assignments) -> "Draft":
        """The same edits on top of another saved revision; services that are not edited here follow it."""
        edited_keys = set(self.changed)
        current = saved
        conflicts = set(self.conflicts) & edited_keys
        for assignment in self.current.items:
            if assignment.key in edited_keys:
                current = current.having(assignment)
                saved_assignment = saved.of(assignment.key)
                if saved_assignment not in (self.saved.of(assignment.key), assignment):
                    conflicts.add(assignment.key)
        return Draft(saved=saved, current=current, conflicts=tuple(sorted(conflicts)))

    def decided(self) -> "Draft":
        """With conflicts resolved in favour of the edits here."""
        return replace(self, conflicts=())

    def given_in(self) -> "Draft":
        """With conflicts resolved in favour of the saved assignments."""
        current = self.current
        for key in self.conflicts:
            saved_assignment = self.saved.of(key)
            if saved_assignment is not None:
                current = current.having(saved_assignment)
        return replace(self.changed_to(current), conflicts=())
