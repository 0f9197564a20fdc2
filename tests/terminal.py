"""A real terminal: tmux runs a program, types keys, and reads the screen."""

import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence


class Terminal:
    """One tmux server of its own with one window."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, width: int = 140, height: int = 42
    ) -> None:
        self._folder = tempfile.mkdtemp(prefix="gputui-terminal-")
        variables = [f"{name}={value}" for name, value in environment.items()]
        shown = shlex.join(["env", "-i", "-C", environment["HOME"], *variables, *command])
        # The shell stays, so that what is printed at the end can be read.
        line = f"{shown}; echo EXIT=$?; exec sleep 600"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "t", "-x", str(width), "-y", str(height), line)

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-S", f"{self._folder}/socket", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout

    def keys(self, *keys: str) -> None:
        """Type keys, by tmux's names for them."""
        for key in keys:
            self._tmux("send-keys", "-t", "t", key)
            # What follows an escape at once is one key with it (alt).
            time.sleep(0.4 if key == "Escape" else 0.05)

    def type(self, text: str) -> None:
        """Type a text."""
        self._tmux("send-keys", "-t", "t", "-l", text)

    @property
    def text(self) -> str:
        """The screen as it stands."""
        return self._tmux("capture-pane", "-p", "-t", "t")

    def burst(self, *keys: str) -> None:
        """Type keys so that they come in one piece, as a slow line brings them."""
        self._tmux("send-keys", "-t", "t", *keys)

    def expect(self, what: str | Callable[[str], bool], limit_s: float = 60.0, *, pause_s: float = 0.1) -> str:
        """Wait until the screen has this text (or the condition holds); the screen then."""
        until = time.monotonic() + limit_s
        while True:
            text = self.text
            if what in text if isinstance(what, str) else what(text):
                return text
            assert time.monotonic() < until, f"never seen: {what}\n{text}"
            time.sleep(pause_s)

    def row(self, name: str) -> str:
        """The first line that begins with this word."""
        return next((line for line in self.text.splitlines() if line.split()[:1] == [name]), "")

    def kill(self) -> None:
        """End it with everything in it, as a lost connection does."""
        self._tmux("kill-server")
        shutil.rmtree(self._folder, ignore_errors=True)
