"""The `gputui` command, and `python -m gputui`."""

import gc
import os


def main() -> None:
    """Start, without collecting garbage while hundreds of modules are made, which is an eighth of the time."""
    gc.disable()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")  # to look for some takes a walk over all packages
    from gputui.main import main as run  # noqa: PLC0415

    run()


if __name__ == "__main__":
    main()
