"""Which Compose file is meant where nobody names one; apart from reading it, which takes long to import."""

from pathlib import Path

DEFAULT_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def default_file(directory: Path) -> Path | None:
    """The Compose file that `docker compose` would read in this directory; None where there is none to be seen."""
    try:
        return next((directory / name for name in DEFAULT_NAMES if (directory / name).is_file()), None)
    except OSError:
        return None
