"""News that reach the app from elsewhere."""

from textual.message import Message

from gputui.domain.snapshot import Snapshot


class SnapshotArrived(Message):
    """A new snapshot; one that was not looked at yet is replaced by a newer one."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__()
        self.snapshot = snapshot

    def can_replace(self, message: Message) -> bool:
        """The newest is enough."""
        return isinstance(message, SnapshotArrived)
