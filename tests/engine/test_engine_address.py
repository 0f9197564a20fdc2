"""Which engine is meant, as the docker command decides it; never another one than the one that was named."""

import hashlib
import json
from pathlib import Path

import pytest

from gputui.domain.errors import UsageError
from gputui.engine.engine_address import engine_address


@pytest.fixture
def config(tmp_path: Path) -> Path:
    for name, host in (("lab", "unix:///run/lab.sock"), ("far", "ssh://me@far")):
        folder = tmp_path / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest()
        folder.mkdir(parents=True)
        body = {"Name": name, "Metadata": {}, "Endpoints": {"docker": {"Host": host, "SkipTLSVerify": False}}}
        (folder / "meta.json").write_text(json.dumps(body))
    return tmp_path


def environment(config: Path, **more: str) -> dict[str, str]:
    return {"DOCKER_CONFIG": str(config), **more}


def test_without_anything_named_it_is_the_default_socket(config: Path) -> None:
    assert engine_address(None, None, environment(config)).url == "unix:///var/run/docker.sock"


@pytest.mark.parametrize(
    ("host", "context", "variables", "url"),
    [
        ("tcp://h:1", None, {"DOCKER_HOST": "unix:///x", "DOCKER_CONTEXT": "lab"}, "tcp://h:1"),
        (None, "lab", {"DOCKER_HOST": "unix:///x"}, "unix:///run/lab.sock"),
        (None, None, {"DOCKER_HOST": "unix:///x", "DOCKER_CONTEXT": "lab"}, "unix:///x"),
        (None, None, {"DOCKER_CONTEXT": "far"}, "ssh://me@far"),
        (None, "default", {"DOCKER_CONTEXT": "lab"}, "unix:///var/run/docker.sock"),
        (None, "default", {"DOCKER_HOST": "unix:///x"}, "unix:///x"),
        ("/run/one.sock", None, {}, "unix:///run/one.sock"),
        ("10.0.0.1:2375", None, {}, "tcp://10.0.0.1:2375"),
    ],
)
def test_what_names_the_engine_counts_in_dockers_order(
    config: Path, host: str | None, context: str | None, variables: dict[str, str], url: str
) -> None:
    assert engine_address(host, context, environment(config, **variables)).url == url


def test_the_current_context_of_dockers_settings_counts_last(config: Path) -> None:
    (config / "config.json").write_text('{"currentContext": "lab"}')
    assert engine_address(None, None, environment(config)).url == "unix:///run/lab.sock"
    assert engine_address(None, None, environment(config, DOCKER_CONTEXT="far")).url == "ssh://me@far"


@pytest.mark.parametrize("how", ["--context", "DOCKER_CONTEXT", "currentContext"])
def test_an_unknown_context_is_an_error_and_never_the_local_engine(config: Path, how: str) -> None:
    """docker-py takes the default engine for it (docker/docker-py, pull request 3401)."""
    (config / "config.json").write_text(json.dumps({"currentContext": "prod-typo"} if how == "currentContext" else {}))
    variables = environment(config, **({"DOCKER_CONTEXT": "prod-typo"} if how == "DOCKER_CONTEXT" else {}))
    with pytest.raises(UsageError, match="no docker context “prod-typo”") as raised:
        engine_address(None, "prod-typo" if how == "--context" else None, variables)
    assert raised.value.exit_code == 2
    assert "lab" in raised.value.fix


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00", '{"Endpoints": 3}', '{"Endpoints": {"docker": []}}'])
def test_a_context_that_cannot_be_read_is_said_to_be_or_names_the_default(config: Path, text: str) -> None:
    path = config / "contexts" / "meta" / hashlib.sha256(b"lab").hexdigest() / "meta.json"
    path.write_text(text)
    try:
        found = engine_address(None, "lab", environment(config))
    except UsageError as error:
        assert "cannot be read" in error.what
    else:
        assert found.url == "unix:///var/run/docker.sock"


def test_two_engines_cannot_be_named_at_once(config: Path) -> None:
    with pytest.raises(UsageError, match="--host and --context"):
        engine_address("unix:///x", "lab", environment(config))
