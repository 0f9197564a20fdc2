"""The command palette: all actions by name."""

from collections.abc import Iterator
from functools import partial

from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider

from gputui.app.config.keymap import PLACE, is_one_of_digits
from gputui.app.widgets.prompt import focus_now


class Actions(Provider):
    """The actions of all active keys, as commands."""

    def _actions(self) -> Iterator[tuple[str, str, Binding, object]]:
        identities = set()
        for active in self.screen.active_bindings.values():
            binding = active.binding
            identity = binding.id or ""
            if identity not in PLACE or identity in identities or not active.enabled:
                continue
            if is_one_of_digits(identity) or identity in ("rows.down", "rows.up", "palette"):
                continue
            identities.add(identity)
            key = self.app.get_key_display(binding)
            yield f"{binding.description} ({key})", binding.tooltip or "", binding, active.node

    def _services(self) -> Iterator[tuple[str, str]]:
        main = self.app.screen_stack[0]
        for pane in main.query("ServicePane"):
            for service in pane.services:  # type: ignore[attr-defined]
                yield service.name, str(service.key)

    async def discover(self) -> Hits:
        """All actions."""
        for name, text, binding, node in self._actions():
            yield DiscoveryHit(name, partial(self.app.run_action, binding.action, node), help=text)  # type: ignore[arg-type]

    async def search(self, query: str) -> Hits:
        """Actions that match by name, then by description; and services to go to."""
        matcher = self.matcher(query)
        for name, text, binding, node in self._actions():
            score = matcher.match(name) or (0.1 if query.lower() in text.lower() else 0.0)
            if score > 0:
                run = partial(self.app.run_action, binding.action, node)  # type: ignore[arg-type]
                yield Hit(score, matcher.highlight(name), run, help=text)
        for name, key in self._services():
            score = matcher.match(name)
            if score > 0:
                yield Hit(score, matcher.highlight(name), partial(self._go_to, key), help="go to this service")

    def _go_to(self, key: str) -> None:
        for table in self.app.screen_stack[0].query("ServiceTable"):
            table.select(key)  # type: ignore[attr-defined]
            focus_now(table)
