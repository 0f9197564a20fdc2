"""The draft: edits of the assignments that are not saved."""

import threading
from collections.abc import Callable
from dataclasses import replace

from gputui.control.sampler import Sampler
from gputui.control.settings import Settings
from gputui.domain.assignment import Assignments, Draft
from gputui.domain.errors import Conflict, NeedsAnswer, UsageError
from gputui.domain.service import Edit, Service, ServiceKey
from gputui.domain.suggestion import StrategyName, SuggestedAssignment, Suggestion
from gputui.domain.units import parse_size
from gputui.planning import edit
from gputui.planning.given_gpus import find_gpu
from gputui.planning.suggestion import automatic, suggest

NOT_SAVED = Assignments()
ADOPTING = "say yes, or --yes, to adopt it: it is then recreated by plans, and put back if that fails"


class Drafting:
    """Holds the draft, and edits it as a person asks for; `edited` is called after each edit."""

    def __init__(self, sampler: Sampler, settings: Settings, edited: Callable[[], None]) -> None:
        self._sampler = sampler
        self._settings = settings
        self._edited = edited
        self._lock = threading.RLock()
        self.draft = Draft(saved=NOT_SAVED, current=NOT_SAVED)

    def services(self) -> tuple[Service, ...]:
        """The services as the draft has them."""
        return self._sampler.services(self.draft.current)

    def follow(self, latest: Assignments) -> None:
        """Take in a revision that somebody saved."""
        with self._lock:
            if latest.revision > self.draft.saved.revision:
                self.draft = self.draft.rebased(latest)

    def saved(self, what: Assignments, asked: Assignments) -> None:
        """The assignments `asked` were saved as the revision `what`; edits made meanwhile stay."""
        with self._lock:
            before = self.draft
            meanwhile = before.current not in (asked, before.saved)
            self.draft = before.rebased(what) if meanwhile else Draft(saved=what, current=what, past=before.past)
        self._edited()

    def _service(self, key: ServiceKey, *, adopt: bool) -> Service:
        self._settings.check_writable()
        service = next((one for one in self.services() if one.key == key), None)
        if service is None:
            raise UsageError(f"there is no service {key.name}", "see `gputui services`")
        if edit.needs_adoption(service) and not adopt:
            raise NeedsAnswer(
                f"{service.name} is a container that gputui found; may it be changed from here?", ADOPTING
            )
        return service

    def _take(self, draft: Draft) -> None:
        self.draft = draft
        self._edited()

    def set_gpus(self, key: ServiceKey, gpus: str, *, adopt: bool) -> None:
        """Give the service these GPUs."""
        with self._lock:
            service = self._service(key, adopt=adopt)
            if gpus.strip().lower() == "auto":
                found = automatic(service, self.services(), self._sampler.readings)
                self._take(edit.with_suggestion(self.draft, "manual", {service.key: service}, [found]))
            else:
                self._take(edit.with_gpus(self.draft, service, edit.parse_gpus(gpus, self._sampler.gpus)))

    def toggle_gpu(self, key: ServiceKey, gpu: str, *, adopt: bool) -> None:
        """Append this GPU to the service's, or take it away."""
        with self._lock:
            found = find_gpu(self._sampler.gpus, gpu)
            if found is None:
                raise UsageError(f"there is no GPU {gpu}", "press one that has a card")
            service = self._service(key, adopt=adopt)
            self._take(edit.with_gpus(self.draft, service, edit.toggled(service, found, self._sampler.gpus)))

    def set_enabled(self, key: ServiceKey, enabled: bool, *, adopt: bool) -> None:
        """The service is to run, or not."""
        with self._lock:
            self._take(edit.with_enabled(self.draft, self._service(key, adopt=adopt), enabled))

    def set_budget(self, key: ServiceKey, budget: str, *, adopt: bool) -> None:
        """The service's VRAM budget."""
        with self._lock:
            mib = None if budget.strip().lower() in ("", "none") else parse_size(budget, where="budget")
            self._take(edit.with_budget(self.draft, self._service(key, adopt=adopt), mib))

    def set_argument(self, key: ServiceKey, argument: str, value: str | None, *, adopt: bool) -> None:
        """Change one argument of the service's command."""
        with self._lock:
            if not argument.startswith("-"):
                raise UsageError(f"“{argument}” is no option of a command", "write it like --max-model-len=8192")
            change = Edit(argument=argument, value=value, reason=f"set by {self._settings.operator}")
            self._take(edit.with_argument(self.draft, self._service(key, adopt=adopt), change))

    def suggest(self, strategy: StrategyName, reserve_mib: int, *, adopt: bool) -> Suggestion:
        """What a strategy would assign."""
        with self._lock:
            services, readings = self.services(), self._sampler.readings
        return suggest(strategy, services, readings, reserve_mib=reserve_mib, adopt=adopt)

    def take_suggestion(self, suggestion: Suggestion, *, adopt: bool) -> None:
        """Everything as a strategy suggests it."""
        self._settings.check_writable()
        with self._lock:
            services = {one.key: one for one in self.services()}
            for one in (*suggestion.assignments, *suggestion.fixed):
                now = services.get(one.service)
                if not one.moved and (now is None or now.assigned != one.gpus):
                    raise Conflict(f"{one.name} was changed meanwhile", "ask for the suggestion again")
            changed = [one for one in suggestion.assignments if one.moved or one.adjusted]
            left_out = [one.service for one in suggestion.unplaced if not one.stays]
            touched = [services[key] for key in (*(one.service for one in changed), *left_out) if key in services]
            found = [service.name for service in touched if edit.needs_adoption(service)]
            if found and not adopt:
                raise NeedsAnswer(
                    f"{', '.join(found)}: containers that gputui found; may they be changed from here?", ADOPTING
                )
            self._take(edit.with_suggestion(self.draft, suggestion.strategy, services, changed, left_out))

    def take_replacement(self, assignment: SuggestedAssignment) -> None:
        """One service gets other GPUs, for its own are gone."""
        self._settings.check_writable()
        with self._lock:
            services = {one.key: one for one in self.services()}
            self._take(edit.with_suggestion(self.draft, "manual", services, [assignment]))

    def take_in(self, assignments: Assignments, *, adopt: bool) -> tuple[str, ...]:
        """Edit everything at once, as a file says; one edit, to be undone as one. A line on what came of it."""
        with self._lock:
            services = {one.key: one for one in self.services()}
            changed = [
                services[item.key]
                for item in assignments.items
                if item.key in services
                and replace(item, adopted=True) != replace(edit.current_assignment(services[item.key]), adopted=True)
            ]
            found = [service.name for service in changed if edit.needs_adoption(service)]
            if found and not adopt:
                raise NeedsAnswer(
                    f"{', '.join(found)}: containers that gputui found; may they be changed from here?", ADOPTING
                )
            self._take(edit.with_all(self.draft, list(services.values()), assignments))
        names = ", ".join(service.name for service in changed)
        return (f"taken in: {names}" if names else "nothing in it is different",)

    def undo(self) -> bool:
        """Take one edit back."""
        with self._lock:
            before = self.draft
            self._take(before.undone())
            return self.draft is not before

    def keep_mine(self) -> None:
        """Where somebody saved another assignment of a service that is edited here, the edits here hold."""
        with self._lock:
            self._take(self.draft.decided())

    def take_theirs(self) -> None:
        """Where somebody saved another assignment of a service that is edited here, theirs holds."""
        with self._lock:
            self._take(self.draft.given_in())
