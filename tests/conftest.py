"""Fixtures for all tests, and what the last lines say about tests that did not run."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import SystemRandom

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _hermetic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees this machine's engine, state or settings."""
    for name in (
        "DOCKER_CONTEXT",
        "DOCKER_TLS_VERIFY",
        "DOCKER_CERT_PATH",
        "COMPOSE_PROJECT_NAME",
        "CUDA_VISIBLE_DEVICES",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    monkeypatch.setenv("GPUTUI_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg-state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg-config"))
    monkeypatch.chdir(tmp_path)


def why_no_lab() -> str | None:
    """Why the lab cannot run on this machine; None where it can."""
    if os.geteuid() != 0:
        return "the lab needs root (it makes namespaces and device nodes)"
    if sys.platform != "linux" or shutil.which("apt-get") is None:
        return "the lab needs Debian or Ubuntu (it unpacks their packages)"
    return None


def pytest_configure() -> None:
    """One sample for all processes that run tests side by side."""
    os.environ.setdefault("GPUTUI_SAMPLE", os.environ.get("GPUTUI_SEED", str(SystemRandom().randrange(10**6))))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reason = why_no_lab()
    if reason is None:
        return
    if os.environ.get("GPUTUI_LAB") == "required":
        raise pytest.UsageError(f"the lab is required, but {reason}")
    for item in items:
        if item.get_closest_marker("lab"):
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.write_line("")
        terminalreporter.write_line(
            f"{len(skipped)} tests did NOT run; the first reason: {why_no_lab() or 'see above'}"
        )


def world_python() -> str:
    """A Python that any user may execute; the one of a home directory may not be."""
    for candidate in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        folders = Path(candidate).parents
        if Path(candidate).exists() and all(folder.stat().st_mode & 0o005 == 0o005 for folder in folders):
            return candidate
    raise RuntimeError("no Python that other users may execute was found")


@pytest.fixture(scope="session")
def installed() -> Iterator[Path]:
    """An environment with nothing but gputui's wheel and what it needs, readable for everybody; its bin folder."""
    with installation() as folder:
        yield folder


@contextmanager
def installation(tree: Path = REPOSITORY) -> Iterator[Path]:
    """Such an environment of the code in the `tree`, made and taken away again."""
    folder = Path(tempfile.mkdtemp(prefix="gputui-installed-"))
    folder.chmod(0o755)
    os.umask(0o022)
    uv = str(Path(sys.executable).with_name("uv"))
    python = str(folder / "venv/bin/python")
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*arguments: str) -> None:
        done = subprocess.run([uv, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    build = ("build", "--wheel", "-q", "--no-build-isolation", "--python", sys.executable)
    run(*build, "-o", str(folder), str(tree))
    run("venv", "-q", "--python", world_python(), str(folder / "venv"))
    install = ("pip", "install", "-q", "--python", python, "--link-mode", "copy")
    run(*install, "--require-hashes", "-r", str(tree / "requirements.txt"))
    run(*install, "--no-deps", str(next(folder.glob("*.whl"))))
    # An ordinary user may not write byte code there, and would compile everything at each start.
    subprocess.run([python, "-m", "compileall", "-q", str(folder / "venv/lib")], check=False, stdout=subprocess.DEVNULL)
    yield folder / "venv/bin"
    shutil.rmtree(folder)
