"""The real `docker compose` is asked; it needs no engine."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gputui.compose import docker_compose


@pytest.fixture(autouse=True, scope="package")
def _installed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        docker_compose.compose_command.cache_clear()
        yield
    docker_compose.compose_command.cache_clear()
