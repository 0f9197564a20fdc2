"""The line of active keys at the bottom."""

from textual.binding import Binding
from textual.content import Content
from textual.widgets import Static

LAST = ("help", "quit")
"""Keys that are always shown, at the end."""


class KeyBar(Static):
    """As many keys as fit, those of the focused widget first."""

    def on_mount(self) -> None:
        """Subscribe to changes of the active keys."""
        self.screen.bindings_updated_signal.subscribe(self, lambda _: self.call_later(self.draw))
        self.draw()

    def on_resize(self) -> None:
        """Fit the keys to the new width."""
        self.draw()

    def draw(self) -> None:
        """Update the line."""
        if not self.is_attached:
            return
        keys: dict[str, tuple[str, str, bool]] = {}
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if binding.show and (binding.id or binding.action) not in keys:
                keys[binding.id or binding.action] = (self._key(binding), binding.description, active.enabled)
        ordered = [
            *(key for name, key in keys.items() if name not in LAST),
            *(keys[name] for name in LAST if name in keys),
        ]
        content = self._fitting(ordered)
        if content != self.content:
            self.update(content, layout=False)

    def _key(self, binding: Binding) -> str:
        return binding.key_display or self.app.get_key_display(binding)

    def _fitting(self, keys: list[tuple[str, str, bool]]) -> Content:
        max_width = self.size.width - 1
        sizes = [len(key) + len(text) + 3 for key, text, _ in keys]
        places = list(range(len(keys)))
        while places and sum(sizes[place] for place in places) > max_width:
            places.remove(places[-len(LAST) - 1] if len(places) > len(LAST) else places[0])
        parts = []
        for place in places:
            key, text, enabled = keys[place]
            style = "" if enabled else "dim"
            parts.append(
                Content.styled(f" {key}", f"bold {style}".strip() if enabled else style)
                + Content.styled(f" {text} ", "dim")
            )
        return Content("").join(parts) if parts else Content("")
