"""Which service gets which GPUs: one assignment, the set of all, and the draft of a new set."""

from dataclasses import dataclass, replace

from gputui.domain.service import Edit, ServiceKey

AS_FOUND = 1
"""The first revision: what was found before anything was saved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """A service's GPUs in the operator's order (UUIDs).

    Only an `adopted` one is carried out; the others record how a service was found, so that a rollback can go back
    to it. Disabled: kept in the table, not run. `priority` None is that of its Compose file.
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
    """The set of all, as one revision. Revision 0 is the empty set before anything was saved."""

    revision: int = 0
    author: str = ""
    saved_at: str = ""
    reason: str = ""
    strategy: str = "manual"
    items: tuple[Assignment, ...] = ()

    def of(self, key: ServiceKey) -> Assignment | None:
        """The assignment of one service."""
        return next((item for item in self.items if item.key == key), None)

    def having(self, assignment: Assignment) -> "Assignments":
        """The same set with this assignment in it."""
        remaining = tuple(item for item in self.items if item.key != assignment.key)
        return replace(self, items=tuple(sorted((*remaining, assignment), key=lambda item: item.key)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """The assignments as edited but not saved. `past` are the drafts before, newest last: undo takes one from it, and
    puts what it takes back into `future`, for redo.

    `conflicts` are services that are edited here, and of which somebody saved another assignment meanwhile: which of
    both holds is a person's to say.
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
        saved = {item.key: item for item in self.saved.items}
        current = {item.key: item for item in self.current.items}
        return tuple(sorted(key for key in saved.keys() | current.keys() if saved.get(key) != current.get(key)))

    @property
    def revision(self) -> int:
        """The saved one, or that which the draft is going to be; what was found is saved before the first."""
        return max(self.saved.revision, AS_FOUND) + 1 if self.changed else self.saved.revision

    def edited(self, assignment: Assignment) -> "Draft":
        """With this assignment; the draft before it can be come back to."""
        if self.current.of(assignment.key) == assignment:
            return self
        conflicts = tuple(key for key in self.conflicts if key != assignment.key)
        current = replace(self.current.having(assignment), strategy="manual")
        return replace(self.changed_to(current), conflicts=conflicts)

    def changed_to(self, current: Assignments) -> "Draft":
        """With these assignments, as one edit."""
        return replace(self, current=current, past=(*self.past, self.current), future=())

    def as_one_edit(self, earlier: "Draft") -> "Draft":
        """What was edited since `before` is taken back at once."""
        if self.current == earlier.current:
            return self
        return replace(self, past=(*earlier.past, earlier.current))

    def undone(self) -> "Draft":
        """One edit back; the same draft where there is none."""
        if not self.past:
            return self
        return replace(self, current=self.past[-1], past=self.past[:-1], future=(*self.future, self.current))

    def redone(self) -> "Draft":
        """What was taken back last is there again; the same draft where nothing was."""
        if not self.future:
            return self
        return replace(self, current=self.future[-1], past=(*self.past, self.current), future=self.future[:-1])

    def rebased(self, saved: Assignments) -> "Draft":
        """The same edits over another saved revision; services that are not edited here follow it."""
        mine = set(self.changed)
        current = saved
        conflicts = set(self.conflicts) & mine
        for item in self.current.items:
            if item.key in mine:
                current = current.having(item)
                theirs = saved.of(item.key)
                if theirs not in (self.saved.of(item.key), item):
                    conflicts.add(item.key)
        return Draft(saved=saved, current=current, conflicts=tuple(sorted(conflicts)))

    def decided(self) -> "Draft":
        """With the edits as they are, whatever others saved."""
        return replace(self, conflicts=())

    def given_in(self) -> "Draft":
        """With what others saved, where it is not what was edited here."""
        current = self.current
        for key in self.conflicts:
            theirs = self.saved.of(key)
            if theirs is not None:
                current = current.having(theirs)
        return replace(self.changed_to(current), conflicts=())
