"""Adds a service to a Compose file and leaves all other lines untouched."""

import difflib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from gputui.domain.compose import FileEdit, NewService
from gputui.domain.errors import Conflict, GputuiError, UsageError
from gputui.domain.plain_yaml import FAULTS
from gputui.domain.text import clean
from gputui.state.file_io import put_in_place, written_beside

# Compose's rule for service names and Docker's for image references, both slightly stricter.
_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$")
_IMAGE = re.compile(r"^[\w][\w./:@-]{0,254}$")
_PORT = re.compile(r"^(?:\d+\.\d+\.\d+\.\d+:)?(?:(\d{1,5}):)?(\d{1,5})(?:/(?:tcp|udp))?$")


def proposed(path: Path, service: NewService) -> FileEdit:
    """The edit that adds this service to the file; nothing is written.

    Raises:
        UsageError: the service has an invalid field, or the file cannot be extended.
    """
    _check(service)
    path = path.resolve()  # so that a symlink to the file stays one
    try:
        old_text = _read_verbatim(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {clean(str(error), 120)}", "check it") from None
    new_text = with_service(old_text, service, path.name)
    lines = difflib.unified_diff(old_text.splitlines(), new_text.splitlines(), path.name, path.name, lineterm="", n=2)
    return FileEdit(path=str(path), old_text=old_text, new_text=new_text, diff=tuple(clean(line) for line in lines))


def _read_verbatim(path: Path) -> str:
    """The text of the file with its line endings unchanged."""
    with path.open(encoding="utf-8", newline="") as stream:
        return stream.read()


def _check(service: NewService) -> None:
    faults = list(_faults(service))
    if len(faults) == 1:
        raise UsageError(*faults[0])
    if faults:
        raise UsageError("; ".join(f"{problem} ({fix})" for problem, fix in faults), "fix these")


def _faults(service: NewService) -> Iterator[tuple[str, str]]:
    """Each invalid field, and how to write it correctly."""
    if not _NAME.match(service.name):
        yield f"“{clean(service.name, 60)}” is no name of a service", "letters, digits, - _ . and no blank"
    if not _IMAGE.match(service.image):
        yield f"“{clean(service.image, 60)}” is no image", "write it like vllm/vllm-openai:v0.11.0"
    for port in service.ports:
        match = _PORT.match(port)
        numbers = [int(digits) for digits in match.groups() if digits] if match else []
        if not numbers or any(not 0 < number < 65536 for number in numbers):
            yield f"“{clean(port, 60)}” is no port", "write it like 8001:8000"
    for mount in service.mounts:
        if mount.count(":") not in (1, 2) or not mount.partition(":")[2].startswith("/"):
            yield f"“{clean(mount, 80)}” is no mount", "write it like /models:/models:ro"
    for text in (*service.command, *service.mounts):
        if clean(text) != text:
            yield f"“{clean(text, 60)}” has control characters in it", "write it without"


def with_service(text: str, service: NewService, name: str) -> str:
    """The text with this service appended to its services.

    Raises:
        UsageError: its services are not in block style, or it already has this one.
    """
    original = text
    text = text if text.endswith("\n") else text + "\n"
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise UsageError(f"{name} is not YAML: {clean(str(error).splitlines()[0], 120)}", "fix it first") from None
    services = _value(root, "services")
    if not isinstance(services, yaml.MappingNode) or services.flow_style or not services.value:
        raise UsageError(f"{name} has no services, each on lines of its own, to add to", "write the first one by hand")
    if _value(services, service.name) is not None:
        raise UsageError(f"{name} has a service {service.name} already", "choose another name")
    first, second = services.value[0]
    outer = first.start_mark.column
    step = second.start_mark.column - outer if isinstance(second, yaml.MappingNode) and second.value else 2
    lines = text.splitlines(keepends=True)
    insert_line = services.end_mark.line
    while insert_line > 0 and (not lines[insert_line - 1].strip() or _is_outer_comment(lines[insert_line - 1], outer)):
        insert_line -= 1  # blank lines and outer comments before the next section belong to that section
    block = yaml.safe_dump(
        {service.name: _body(service)}, sort_keys=False, indent=max(2, step), default_flow_style=False, width=110
    )
    end = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    added = "".join(f"{' ' * outer}{line}{end}" for line in block.splitlines())
    new_text = "".join([*lines[:insert_line], added, *lines[insert_line:]])
    _check_unchanged(original, new_text, service.name, name)
    return new_text


def _is_outer_comment(line: str, indent: int) -> bool:
    stripped = line.lstrip(" ")
    return stripped.startswith("#") and len(line) - len(stripped) < indent


def _value(node: Any, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _body(service: NewService) -> dict[str, Any]:
    # Compose interpolates variables after a single dollar sign.
    body: dict[str, Any] = {"image": service.image}
    if service.command:
        body["command"] = [word.replace("$", "$$") for word in service.command]
    if service.ports:
        body["ports"] = list(service.ports)
    if service.mounts:
        body["volumes"] = [mount.replace("$", "$$") for mount in service.mounts]
    if service.gpus:
        request = {"driver": "nvidia", "device_ids": list(service.gpus), "capabilities": ["gpu"]}
        body["deploy"] = {"resources": {"reservations": {"devices": [request]}}}
    body["restart"] = "unless-stopped"
    return body


class _Loose(yaml.SafeLoader):
    """A loader that keeps values with custom tags as they are."""


def _tagged(_loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> tuple[str, str]:
    return suffix, yaml.serialize(node)


_Loose.add_multi_constructor("!", _tagged)


def _check_unchanged(old_text: str, new_text: str, service_name: str, name: str) -> None:
    """Check that everything but the added service parses as before."""
    try:
        old, new = (yaml.load(text, _Loose) for text in (old_text, new_text))
        remainder = {**new, "services": {key: value for key, value in new["services"].items() if key != service_name}}
    except FAULTS:
        remainder, old = None, {}
    if remainder != old:
        raise UsageError(f"{name} is written in a way that gputui cannot add to", "add the service by hand")


def write(edit: FileEdit) -> None:
    """Replace the file atomically; a backup of the old one stays beside it.

    Raises:
        Conflict: the file has changed in the meantime.
        GputuiError: the file cannot be written; nothing is lost.
    """
    path = Path(edit.path)
    try:
        if _read_verbatim(path) != edit.old_text:
            raise Conflict(f"{path.name} was changed meanwhile", "look at the difference again")
        put_in_place({path: written_beside(path, edit.new_text)}, backup=".gputui-bak")
    except OSError as error:
        raise GputuiError(f"{path} cannot be written: {error.strerror}", "check permissions and disk space") from error
