"""Errors for users: one line for what happened, another for what to do."""

from gputui.domain.text import clean, with_fix


class GputuiError(Exception):
    """What went wrong (`what`) and how to fix it (`fix`); `exit_code` is that of the command line."""

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
    """Something impossible or not permitted; cannot be forced."""


class Stopped(Refusal):
    """Findings of severity error, which block an apply unless it is forced."""

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
