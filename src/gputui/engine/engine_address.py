"""Selects the engine as the docker command does (docker/cli, `resolveContextName` in cli/command/cli.go)."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gputui.domain.errors import UsageError
from gputui.domain.text import clean, mapping

DEFAULT_SOCKET = "unix:///var/run/docker.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAddress:
    """The `url` of an engine, its origin (`source`), and the directory of its certificates; `verify`: the server's
    certificate is checked. `from_environment`: docker's variables decide (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH)."""

    url: str
    source: str
    certificates: Path | None = None
    verify: bool = True
    from_environment: bool = False

    @property
    def socket(self) -> Path | None:
        """The Unix socket, if the engine is reached through one on this machine."""
        return Path(self.url.removeprefix("unix://")) if self.url.startswith("unix://") else None


def engine_address(
    host: str | None, context: str | None, environment: Mapping[str, str] | None = None
) -> EngineAddress:
    """`host`, else `context`, else DOCKER_HOST, else DOCKER_CONTEXT, else docker's current context, else the default.

    Raises:
        UsageError: two engines are named, or a context that does not exist or cannot be read. There is no fallback to
            another engine.
    """
    environment = os.environ if environment is None else environment
    if host and context:
        raise UsageError("--host and --context both name an engine", "give one of them")
    if host:
        return EngineAddress(url=_with_scheme(host), source="--host", from_environment=True)
    folder = _config_dir(environment)
    if context:
        return _of_context(context, "--context", folder, environment)
    if environment.get("DOCKER_HOST"):
        return _default(environment)
    if environment.get("DOCKER_CONTEXT"):
        return _of_context(environment["DOCKER_CONTEXT"], "DOCKER_CONTEXT", folder, environment)
    current = _current_context(folder)
    return (
        _of_context(current, "the current context of docker", folder, environment) if current else _default(environment)
    )


def _default(environment: Mapping[str, str]) -> EngineAddress:
    host = environment.get("DOCKER_HOST")
    if host:
        return EngineAddress(url=_with_scheme(host), source="DOCKER_HOST", from_environment=True)
    return EngineAddress(url=DEFAULT_SOCKET, source="the default", from_environment=True)


def _with_scheme(host: str) -> str:
    """The address with its scheme, which docker allows to be omitted."""
    host = host.strip()
    if host.startswith("/"):
        return f"unix://{host}"
    return host if "://" in host else f"tcp://{host}"


def _current_context(folder: Path) -> str | None:
    try:
        name = mapping(json.loads((folder / "config.json").read_text(encoding="utf-8"))).get("currentContext")
    except (OSError, ValueError, RecursionError):
        return None
    return str(name) if name else None


def _of_context(name: str, source: str, folder: Path, environment: Mapping[str, str]) -> EngineAddress:
    if name == "default":
        return _default(environment)
    import hashlib  # noqa: PLC0415 - it loads OpenSSL, which would delay the first frame

    display_name = clean(name, 60)
    identity = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()
    path = folder / "contexts" / "meta" / identity / "meta.json"
    try:
        metadata = mapping(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        names = ", ".join(_context_names(folder))
        raise UsageError(
            f"there is no docker context “{display_name}” ({source})", f"contexts: {names}; see `docker context ls`"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the docker context “{display_name}” cannot be read: {type(error).__name__}", f"check {path}"
        ) from None
    endpoint = mapping(mapping(metadata.get("Endpoints")).get("docker"))
    certificates = folder / "contexts" / "tls" / identity / "docker"
    return EngineAddress(
        url=_with_scheme(str(endpoint.get("Host") or DEFAULT_SOCKET)),
        source=f"the context {display_name}",
        certificates=certificates if certificates.is_dir() else None,
        verify=not endpoint.get("SkipTLSVerify"),
    )


def _config_dir(environment: Mapping[str, str]) -> Path:
    home = Path(environment.get("HOME") or "~").expanduser()
    return Path(environment.get("DOCKER_CONFIG") or home / ".docker")


def _context_names(folder: Path) -> list[str]:
    names = ["default"]
    for path in sorted((folder / "contexts" / "meta").glob("*/meta.json")):
        try:
            names.append(clean(str(mapping(json.loads(path.read_text(encoding="utf-8"))).get("Name")), 60))
        except (OSError, ValueError, RecursionError):
            continue
    return names


def context_names(environment: Mapping[str, str]) -> list[str]:
    """The names of docker's contexts."""
    return _context_names(_config_dir(environment))
