"""No `docker compose` is asked: these files have nothing that only it could read."""

import pytest

from gputui.compose import docker_compose


@pytest.fixture(autouse=True)
def _no_docker_compose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_compose, "compose_command", lambda: None)
