"""Files that come with gputui: themes and scenarios."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def packaged(folder: str) -> Path:
    """The folder `themes` or `configs`: inside the installed package, else at the top of the checkout."""
    installed = _PACKAGE / folder
    return installed if installed.is_dir() else _PACKAGE.parents[1] / folder
