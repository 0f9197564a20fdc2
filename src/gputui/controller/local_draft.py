"""The draft: edits of the assignments that are not saved yet."""

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from gputui.controller.saved_state import NOTHING_SAVED, SavedState
from gputui.controller.settings import Settings
from gputui.controller.watch.sampler import Sampler
from gputui.domain.assignment import Assignments, Draft
from gputui.domain.errors import Conflict, NeedsAnswer, UsageError
from gputui.domain.memory import GpuHeadroom
from gputui.domain.message import Message
from gputui.domain.service import Edit, Service, ServiceKey, TypedEdit
from gputui.domain.strategy import StrategyName
from gputui.domain.suggestion import SuggestedAssignment, Suggestion
from gputui.domain.text import clean
from gputui.domain.units import parse_size
from gputui.planning.changes import draft_edit as edit
from gputui.planning.given_gpus import find_gpu
from gputui.planning.placement.gpu_headroom import gpu_headroom

KEEP_BUDGET = "keep"
"""Typed as a budget: keep the current one, whatever the GPU."""
ADOPTING = "say yes, or --yes, to adopt it: it is then recreated by plans, and put back if that fails"


class LocalDraft:
    """Implements the `Draft` of the controller: holds the value, edits it on request, and saves it."""

    def __init__(self, sampler: Sampler, saved: SavedState, settings: Settings) -> None:
        self._sampler = sampler
        self._saved = saved
        self._settings = settings
        self._edited: Callable[[], None] = lambda: None
        self._lock = threading.RLock()
        self.value = Draft(saved=NOTHING_SAVED, current=NOTHING_SAVED)
        """The current draft."""
        saved.on_revision(self.follow)

    def on_edit(self, listener: Callable[[], None]) -> None:
        """Call the listener after each edit."""
        self._edited = listener

    def services(self) -> tuple[Service, ...]:
        """The services as the draft has them."""
        return self._sampler.services(self.value.current)

    def follow(self, latest: Assignments) -> None:
        """Take in a revision that somebody saved."""
        with self._lock:
            if latest.revision > self.value.saved.revision:
                self.value = self.value.rebased(latest)

    def _follow_save(self, saved: Assignments, sent: Assignments) -> None:
        """The assignments `sent` were saved as the revision `saved`; edits made meanwhile stay."""
        with self._lock:
            previous = self.value
            meanwhile = previous.current not in (sent, previous.saved)
            self.value = previous.rebased(saved) if meanwhile else Draft(saved=saved, current=saved, past=previous.past)
        self._edited()

    def _chosen(self, keys: Sequence[ServiceKey], *, adopt: bool) -> list[Service]:
        self._settings.check_writable()
        service_by_key = {service.key: service for service in self.services()}
        for key in keys:
            if key not in service_by_key:
                raise UsageError(f"there is no service {key.name}", "see `gputui services`")
        services = [service_by_key[key] for key in keys]
        _require_adoption([service for service in services if edit.needs_adoption(service)], adopt=adopt)
        return services

    def _take(self, draft: Draft) -> None:
        self.value = draft
        self._edited()

    def _edit_each(self, keys: Sequence[ServiceKey], change: Callable[[Draft, Service], Draft], *, adopt: bool) -> None:
        """Change all of these services or none, as a single edit that one undo reverts."""
        with self._lock:
            previous = self.value
            services = self._chosen(keys, adopt=adopt)
            draft = previous
            for service in services:
                draft = change(draft, service)
            self._take(draft.as_one_edit(previous))

    def check(self, keys: Sequence[ServiceKey], typed: TypedEdit) -> None:
        """Check whether this edit is possible, without making it."""
        with self._lock:
            self._typed(keys, typed, adopt=True)

    def edit(self, keys: Sequence[ServiceKey], typed: TypedEdit, *, adopt: bool) -> None:
        """Apply what was typed to the services, as one edit."""
        with self._lock:
            self._take(self._typed(keys, typed, adopt=adopt))

    def _typed(self, keys: Sequence[ServiceKey], typed: TypedEdit, *, adopt: bool) -> Draft:
        services = self._chosen(keys, adopt=adopt)
        draft = self.value
        for service in services:
            draft = self._with_gpus(draft, service, typed.gpus)
        # Each step continues from the previous one: budgets are set on services that already have their new GPUs.
        keeps = typed.budget is not None and typed.budget.strip().lower() == KEEP_BUDGET
        for service in self._selected(draft, keys):
            if typed.budget is not None and not keeps:
                draft = edit.with_budget(draft, service, _budget(typed.budget))
        if typed.budget is None:
            draft = self._with_fitting_budgets(draft, services)
        for service in self._selected(draft, keys):
            if typed.priority is not None:
                draft = edit.with_priority(draft, service, _priority(typed.priority))
        return draft.as_one_edit(self.value)

    def _with_fitting_budgets(self, draft: Draft, previous: Sequence[Service]) -> Draft:
        previous_by_key = {service.key: service for service in previous}
        for service in self._selected(draft, list(previous_by_key)):
            draft = edit.with_fitting_budget(
                draft, previous_by_key[service.key], service, self._sampler.gpu_watch.readings()
            )
        return draft

    def _selected(self, draft: Draft, keys: Sequence[ServiceKey]) -> list[Service]:
        return [service for service in self._sampler.services(draft.current) if service.key in keys]

    def _with_gpus(self, draft: Draft, service: Service, gpus: str | None) -> Draft:
        if gpus is None:
            return draft
        if gpus.strip().lower() == "auto":
            # The GPUs already given to other services of the same edit count.
            from gputui.planning.placement.proposal import automatic  # noqa: PLC0415 - not needed for the first frame

            suggested = automatic(service, self._sampler.services(draft.current), self._sampler.gpu_watch.readings())
            return edit.with_suggestion(draft, "manual", {service.key: service}, [suggested])
        return edit.with_gpus(draft, service, edit.parse_gpus(gpus, self._sampler.gpus))

    def toggle_gpu(self, keys: Sequence[ServiceKey], gpu: str, *, adopt: bool) -> None:
        """Append this GPU to the services', or remove it."""
        target = find_gpu(self._sampler.gpus, gpu)
        if target is None:
            raise UsageError(f"there is no GPU {gpu}", "press one that has a card")
        gpus = self._sampler.gpus

        def change(draft: Draft, service: Service) -> Draft:
            toggled = edit.with_gpus(draft, service, edit.toggled(service, target, gpus))
            return self._with_fitting_budgets(toggled, [service])

        self._edit_each(keys, change, adopt=adopt)

    def set_enabled(self, keys: Sequence[ServiceKey], enabled: bool, *, adopt: bool) -> None:
        """Set whether the services should run."""
        self._edit_each(keys, lambda draft, service: edit.with_enabled(draft, service, enabled), adopt=adopt)

    def set_arguments(
        self, keys: Sequence[ServiceKey], changes: Sequence[tuple[str, str | None]], *, adopt: bool
    ) -> None:
        """Change arguments of the services' commands, as one edit."""
        for argument, _ in changes:
            if not argument.startswith("-"):
                raise UsageError(f"“{argument}” is no option of a command", "write it like --max-model-len=8192")
        reason = f"set by {self._settings.operator}"
        edits = [Edit(argument=argument, value=value, reason=reason) for argument, value in changes]
        self._edit_each(keys, lambda draft, service: edit.with_arguments(draft, service, edits), adopt=adopt)

    def headroom(self, keys: Sequence[ServiceKey]) -> tuple[GpuHeadroom, ...]:
        """The headroom of each GPU with these services on it."""
        return gpu_headroom(keys, self.services(), self._sampler.gpu_watch.readings())

    def suggest(self, strategy: StrategyName, reserve_mib: int = 0, *, adopt: bool = False) -> Suggestion:
        """What a strategy would assign."""
        from gputui.planning.placement.proposal import suggest  # noqa: PLC0415 - not needed for the first frame

        with self._lock:
            services, readings = self.services(), self._sampler.gpu_watch.readings()
        return suggest(strategy, services, readings, reserve_mib=reserve_mib, adopt=adopt)

    def take_suggestion(self, suggestion: Suggestion, *, adopt: bool) -> None:
        """Take over everything that a strategy suggests."""
        self._settings.check_writable()
        with self._lock:
            services = {service.key: service for service in self.services()}
            for suggested in (*suggestion.assignments, *suggestion.fixed):
                current = services.get(suggested.service)
                if not suggested.moved and (current is None or current.assigned != suggested.gpus):
                    raise Conflict(f"{suggested.name} was changed meanwhile", "ask for the suggestion again")
            changed = [suggested for suggested in suggestion.assignments if suggested.moved or suggested.adjusted]
            left_out = [unplaced.service for unplaced in suggestion.unplaced if not unplaced.stays]
            touched = [
                services[key] for key in (*(suggested.service for suggested in changed), *left_out) if key in services
            ]
            _require_adoption([service for service in touched if edit.needs_adoption(service)], adopt=adopt)
            self._take(edit.with_suggestion(self.value, suggestion.strategy, services, changed, left_out))

    def take_replacement(self, assignment: SuggestedAssignment) -> None:
        """Assign other GPUs to a service whose own are gone."""
        self._settings.check_writable()
        with self._lock:
            services = {service.key: service for service in self.services()}
            self._take(edit.with_suggestion(self.value, "manual", services, [assignment]))

    def take_all(self, assignments: Assignments, *, adopt: bool) -> tuple[str, ...]:
        """Take over all assignments of a file as one edit; a line on the outcome."""
        with self._lock:
            services = {service.key: service for service in self.services()}
            changed = [
                services[item.key]
                for item in assignments.items
                if item.key in services
                and replace(item, adopted=True) != replace(edit.current_assignment(services[item.key]), adopted=True)
            ]
            _require_adoption([service for service in changed if edit.needs_adoption(service)], adopt=adopt)
            self._take(edit.with_all(self.value, list(services.values()), assignments))
        names = ", ".join(service.name for service in changed)
        return (f"taken in: {names}" if names else "nothing in it is different",)

    def undo(self) -> bool:
        """Undo one edit."""
        with self._lock:
            previous = self.value
            self._take(previous.undone())
            return self.value is not previous

    def redo(self) -> bool:
        """Redo an edit that was undone."""
        with self._lock:
            previous = self.value
            self._take(previous.redone())
            return self.value is not previous

    def resolve(self, whose: Literal["mine", "theirs"]) -> None:
        """Choose whose assignment holds for each service that is edited here and that somebody saved meanwhile."""
        with self._lock:
            self._take(self.value.decided() if whose == "mine" else self.value.given_in())

    def save(self, reason: Message) -> Assignments:
        """Save the draft as the next revision."""
        self.follow(self._saved.opened().revisions.latest())
        draft = self.value
        if draft.conflicts:
            raise Conflict(edit.conflict_text(draft, self._sampler.gpus), "keep yours, or take theirs; then save again")
        return self.save_as(draft.saved.revision, draft.current, reason) if draft.changed else draft.saved

    def save_as(self, base: int, assignments: Assignments, reason: Message) -> Assignments:
        """Save these assignments, which are based on the revision `base`, as the next one."""
        saved = self._saved.save(base, assignments, reason)
        self._follow_save(saved, assignments)
        return saved


def _require_adoption(unadopted: Sequence[Service], *, adopt: bool) -> None:
    """Check that unmanaged containers may be changed.

    Raises:
        NeedsAnswer: nobody has agreed yet.
    """
    if not unadopted or adopt:
        return
    if len(unadopted) == 1:
        question = f"{unadopted[0].name} is an unmanaged container; may it be changed from here?"
    else:
        names = ", ".join(service.name for service in unadopted)
        question = f"{names}: unmanaged containers; may they be changed from here?"
    raise NeedsAnswer(question, ADOPTING)


def _budget(text: str) -> int | None:
    return None if text.strip().lower() in ("", "none") else parse_size(text, where="budget")


def _priority(text: str) -> int | None:
    word = text.strip().lower()
    if word in ("", "none"):
        return None
    if not re.fullmatch(r"-?\d{1,4}", word):
        raise UsageError(f"“{clean(text, 40)}” is no priority", "write a whole number, or none")
    return int(word)
