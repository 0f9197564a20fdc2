"""Errors that a person gets to read: what happened in one line, what to do in another."""

from gputui.domain.text import clean, with_fix


class GputuiError(Exception):
    """What went wrong (`what`) and how to put it right (`fix`); `exit_code` is that of the command line."""

    exit_code = 1

    def __init__(self, what: str, fix: str = "") -> None:
        self.what = clean(what, 1000)
        self.fix = clean(fix, 1000)
        super().__init__(self.what)

    @property
    def line(self) -> str:
        """Both in one line."""
        return with_fix(self.what, self.fix)


class UsageError(GputuiError):
    """Bad usage or input; nothing was changed."""

    exit_code = 2


class NeedsAnswer(UsageError):
    """A question that only a person or `--yes` can answer."""


class Refusal(UsageError):
    """What cannot be done, or is not ours to do; cannot be forced."""


class Stopped(Refusal):
    """Findings of severity error, which stop an apply unless it is forced."""

    exit_code = 1


class Conflict(GputuiError):
    """Somebody else was faster: a newer revision was saved, or an apply is running."""

    exit_code = 1


class Unreachable(GputuiError):
    """The engine or NVML cannot be reached."""

    exit_code = 3


class EngineError(GputuiError):
    """The engine answered a call with an error."""

    exit_code = 4


class NotFound(EngineError):
    """The engine does not know this container, image, network or volume."""
