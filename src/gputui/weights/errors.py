"""Why a model's file cannot be read."""

from gputui.domain.errors import GputuiError


class UnknownKind(GputuiError):
    """A file that may be all right, but of a kind that gputui cannot read."""


class BadFile(GputuiError):
    """A file that is not what its name says: cut off, damaged, or made to harm its reader."""
