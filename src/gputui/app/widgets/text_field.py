"""A line to type into."""

from textual.widgets import Input


class TextField(Input):
    """One row high; its cursor does not blink, for over a slow line that is most of what would be sent."""

    def __init__(self, value: str = "", *, placeholder: str = "", id: str | None = None) -> None:
        super().__init__(value, placeholder=placeholder, id=id, compact=True)
        self.cursor_blink = False
