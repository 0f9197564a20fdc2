"""Names, logs and command lines full of escape sequences: no control byte of theirs reaches the terminal."""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from pathlib import Path

import yaml

from gputui.state.file_io import packaged
from tests.domain.test_text import PAYLOADS

MARKUP = "svc[/red] [b]x [@click=app.quit]y"


def test_a_hostile_server_cannot_touch_the_terminal(tmp_path: Path) -> None:
    scenario = yaml.safe_load((packaged("configs") / "scenarios" / "workstation.yaml").read_text())
    payload = "".join(PAYLOADS.values()) + MARKUP
    for container in scenario["containers"]:
        container["command"] = ["serve", "--model", payload]
        json_line = '{"a": "\\u001b[2J\\u0007harmless", "b": "' + "y" * 1000 + '"}'
        container["log"] = [*PAYLOADS.values(), MARKUP, json_line, "x" * 1_000_000, *PAYLOADS.values(), MARKUP]
        container["image"] = payload
        container["labels"]["com.docker.compose.service"] += payload
    scenario["processes"] = [
        {"pid": 77, "gpu": scenario["gpus"][0]["gpu"]["uuid"], "memory_mib": 900, "user": "eve", "command": payload}
    ]
    path = tmp_path / "hostile.yaml"
    path.write_text(yaml.safe_dump(scenario))
    keys = [
        b"l", b"w", b"J", b"t", b"/", b"P", b"\r", b"&", b"x", b"\r", b"\x1b",  # all views of the logs
        b"\t", b"o", b"t", b"K", b"\x1b", b"f", b"h", b"w", b"\x1b", b"i", b"\x1b", b"m", b"T", b"\x1b",
        b"1", b"y", b"p", b"a", b"\x1b", b"s", b"\x1b", b"\r", b"\x1b", b"\x10", b"\x1b", b"?", b"\x1b",
        b"\x1b[B", b"l",
    ]  # fmt: skip
    raw = bytes_of([f"--demo={path}"], keys)
    raw = re.sub(rb"\x1b\]22;[a-z]*\x07", b"", raw)  # from Textual, for the pointer shape
    assert b"svc[/red]" in raw, "the text itself is shown"
    for name, payload in PAYLOADS.items():
        assert payload.encode() not in raw, name
    assert b"PWNED" not in raw, "what stands in a sequence goes with it"
    assert b"\x1b]" not in raw, "no operating system command"
    assert b"\x1bP" not in raw, "no device control string"
    assert b"\x1bc" not in raw, "no reset"
    assert b"\x07" not in raw, "no bell"
    for character in "\u202e\u2066\x9b\x9d\x9c":
        assert character.encode() not in raw


def bytes_of(arguments: list[str], keys: list[bytes]) -> bytes:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor")
        os.execv(sys.executable, [sys.executable, "-m", "gputui", *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    raw = b""

    def read(seconds: float) -> None:
        nonlocal raw
        deadline = time.monotonic() + seconds
        while (remaining_s := deadline - time.monotonic()) > 0:
            if select.select([terminal], [], [], remaining_s)[0]:
                try:
                    raw += os.read(terminal, 65536)
                except OSError:
                    return

    read(2.0)
    for key in keys:
        os.write(terminal, key)
        read(0.4)
    output = raw
    os.kill(pid, 15)
    read(1.0)
    os.waitpid(pid, 0)
    os.close(terminal)
    return output
