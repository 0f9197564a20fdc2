"""Why a model's file cannot be read."""

from gputui.domain.errors import GputuiError


class BadFile(GputuiError):
    """A file that is not what its name says: cut off, damaged, or made to harm its reader."""
