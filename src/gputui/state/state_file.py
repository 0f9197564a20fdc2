"""The state of an engine as one file, to export and to restore it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, model_validator

from gputui.domain.assignment import Assignment, Assignments
from gputui.domain.errors import GputuiError, UsageError
from gputui.domain.gpu import Gpu
from gputui.domain.plain_yaml import FAULTS, fault_text, load_yaml
from gputui.domain.service import Edit, ServiceKey
from gputui.domain.text import MASK, clean, mapping, mask_secret, real_number, sequence
from gputui.state.audit import now
from gputui.state.database import Database

SIZE_LIMIT = 512 * 2**20

_TABLES = {
    "revisions": ("revision", "saved_at", "author", "reason", "strategy", "body"),
    "applies": (
        "id",
        "revision",
        "operator",
        "reason",
        "started_at",
        "ended_at",
        "result",
        "services",
        "message",
        "reason_kind",
        "reason_values",
    ),
    "events": ("apply_id", "number", "at", "kind", "progress", "text", "service", "operation", "code", "details"),
    "observed_peaks": ("image", "arguments", "gpus", "gpu_total_mib", "peak_mib", "at"),
    "measured": (
        "image",
        "arguments",
        "gpus",
        "gpu_total_mib",
        "weights_mib",
        "cache_mib",
        "activation_mib",
        "graphs_mib",
        "cache_tokens",
        "at",
    ),
}
"""What is exported. The transactions of applies and the files beside Compose files belong to their machine, and are
not."""


class StateFile(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)

    format: Literal[1]
    kind: Literal["gputui state"]
    host: str
    exported_at: str
    tables: dict[str, list[list[str | int | None]]]


def export_state(database: Database, host: str) -> str:
    """The state as JSON text. Values of changed arguments that are secrets are masked."""
    tables: dict[str, list[list[Any]]] = {}
    with database.reading() as connection:
        for table, columns in _TABLES.items():
            # Log lines are not exported: they may hold secrets that a program printed.
            where = " WHERE kind != 'log'" if table == "events" else ""
            rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table}{where}")
            tables[table] = [list(row) for row in rows]
    try:
        for row in tables["revisions"]:
            row[-1] = _masked(str(row[-1]))
        body = StateFile(format=1, kind="gputui state", host=host, exported_at=now(), tables=tables)
        return body.model_dump_json(indent=1) + "\n"
    except (ValueError, RecursionError):
        raise GputuiError("the state has rows that are not understood", "the file may be damaged") from None


def _masked(body: str) -> str:
    revision = json.loads(body)
    for item in map(mapping, sequence(mapping(revision).get("items"))):
        for edit in sequence(item.get("edits")):
            if isinstance(edit, dict) and edit.get("value") is not None:
                edit["value"] = mask_secret(str(edit.get("argument")), str(edit["value"]))
    return json.dumps(revision)


def read_file(path: Path) -> "StateFile | dict[str, Any]":
    """An exported state, or the mapping in a `gpu-assignments.yml`.

    Raises:
        UsageError: it cannot be read, or is neither.
    """
    name = clean(path.name, 100)
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise UsageError(f"{name}: too large for a state", "name a file that gputui wrote")
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise UsageError(f"{clean(str(path), 200)} cannot be read: {why}", "check the path") from None
    try:
        document = json.loads(text) if text.lstrip().startswith("{") else load_yaml(text)
    except FAULTS as error:
        raise UsageError(f"{name}: neither JSON nor YAML: {clean(fault_text(error), 120)}", "correct it") from None
    if isinstance(document, dict) and "assignments" in document:
        return document
    if not isinstance(document, dict) or document.get("kind") != "gputui state":
        raise UsageError(f"{name}: neither an exported state nor assignments", "name a file that gputui wrote")
    try:
        return StateFile.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"{name}: {clean(place, 60)}: {clean(first['msg'], 120)}", "name a file of `gputui export state`"
        ) from None


def is_empty(database: Database) -> bool:
    """Whether nothing has been saved or applied yet."""
    with database.reading() as connection:
        return not connection.execute("SELECT 1 FROM revisions UNION SELECT 1 FROM applies").fetchone()


def restore(database: Database, state: StateFile, host: str) -> None:
    """Restore everything into an empty state; services of another host become services of this one.

    Raises:
        GputuiError: the tables are not those of a state, or something was already saved.
    """
    for table, rows in state.tables.items():
        if table not in _TABLES or any(len(row) != len(_TABLES[table]) for row in rows):
            raise UsageError(f"{clean(table, 60)}: not a table of a state", "name a file of `gputui export state`")
    revisions = [
        [*_cleaned(row[:-1]), _relocated_body(str(row[-1]), host)] for row in state.tables.get("revisions", [])
    ]
    applies = [_settled(row) for row in state.tables.get("applies", [])]
    rows_of = {"revisions": revisions, "applies": applies}
    with database.writing() as connection:
        if connection.execute("SELECT 1 FROM revisions UNION SELECT 1 FROM applies").fetchone():
            raise GputuiError("something was saved here already", "import it as a new revision instead")
        for table, columns in _TABLES.items():
            rows = rows_of.get(table) or [_cleaned(row) for row in state.tables.get(table, [])]
            names, marks = ", ".join(columns), ", ".join("?" * len(columns))
            if table == "applies":
                names, marks = f"{names}, body", f"{marks}, ''"  # the transaction is not exported
            connection.executemany(f"INSERT OR REPLACE INTO {table} ({names}) VALUES ({marks})", rows)


def _cleaned(row: Sequence[str | int | None]) -> list[str | int | None]:
    """Clean the text of a row: a file is untrusted input."""
    return [clean(value, 100_000) if isinstance(value, str) else value for value in row]


def _settled(row: Sequence[str | int | None]) -> list[str | int | None]:
    """An apply that ran elsewhere; one that had not ended there counts as failed here.

    Raises:
        UsageError: its result or the outcomes of its services are not valid.
    """
    settled = _cleaned(row)
    settled[6] = "failed" if settled[6] == "running" else settled[6]
    try:
        services = json.loads(str(settled[7]))
    except ValueError:
        services = None
    if settled[6] not in ("done", "rolled_back", "failed") or not isinstance(services, dict):
        raise UsageError(f"apply {clean(str(settled[0]), 20)} of the file has no known result", "export it again")
    return settled


def _revision(body: str) -> Assignments:
    """A revision from its JSON text.

    Raises:
        UsageError: the text is not a revision.
    """
    try:
        return TypeAdapter(Assignments).validate_json(body)
    except ValidationError:
        raise UsageError("a revision in the file cannot be read", "export it again") from None


def _relocated(revision: Assignments, host: str) -> Assignments:
    """The revision as one of this host, without the secrets that are masked in the file."""
    items = tuple(
        replace(
            item, key=replace(item.key, host=host), edits=tuple(edit for edit in item.edits if not _is_masked(edit))
        )
        for item in revision.items
    )
    return replace(revision, items=items)


def _relocated_body(body: str, host: str) -> str:
    return TypeAdapter(Assignments).dump_json(_relocated(_revision(body), host)).decode()


def _is_masked(edit: Edit) -> bool:
    """Whether it is a secret that the file masks, so that it has to be set again."""
    return edit.value is not None and edit.value == mask_secret(edit.argument, edit.value) == MASK


def masked(state: StateFile) -> tuple[str, ...]:
    """The changed arguments of the newest revision whose values were masked, as `service: argument`."""
    newest = _newest(state)
    return tuple(
        f"{item.key.name}: {clean(edit.argument, 60)} is a secret, which the file does not hold; set it again"
        for item in (newest.items if newest else ())
        for edit in item.edits
        if _is_masked(edit)
    )


def latest(state: StateFile, host: str) -> Assignments:
    """The newest revision in the file, as one of this host.

    Raises:
        UsageError: there is none.
    """
    newest = _newest(state)
    if newest is None:
        raise UsageError("the file has no revision in it", "nothing to take in")
    return _relocated(newest, host)


def _newest(state: StateFile) -> Assignments | None:
    row = max(state.tables.get("revisions", []), key=_number, default=None)
    return _revision(str(row[-1]) if row else "") if row is not None else None


def _number(row: Sequence[str | int | None]) -> int:
    return row[0] if row and isinstance(row[0], int) else 0


class _FileEntry(BaseModel):
    """One service of a `gpu-assignments.yml`. Also accepts the form of other tools: `gpu` for a single GPU,
    `vram_budget` in GiB."""

    model_config = ConfigDict(extra="forbid", defer_build=True)

    gpus: list[str | int] = []
    uuids: list[str] = []
    enabled: bool = True
    vram_budget_mib: int | None = None
    priority: int | None = None
    edits: dict[str, str | None] = {}
    adopted: bool = True

    @model_validator(mode="before")
    @classmethod
    def _normalized(cls, entry: object) -> object:
        if not isinstance(entry, dict):
            return entry
        entry = dict(entry)
        if "gpu" in entry and "gpus" not in entry:
            gpu = entry.pop("gpu")
            entry["gpus"] = [] if gpu is None else [str(gpu) if isinstance(gpu, bool) else gpu]
        if "vram_budget" in entry and "vram_budget_mib" not in entry:
            raw_budget = entry.pop("vram_budget")
            budget = real_number(raw_budget)
            if raw_budget is not None and (budget is None or isinstance(raw_budget, bool) or budget <= 0):
                raise ValueError("vram_budget is a number of GiB above 0, or null")
            entry["vram_budget_mib"] = None if budget is None else int(budget * 1024)
        return entry


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAssignments:
    """Assignments from a file, and what could not be imported, a line each."""

    assignments: Assignments
    skipped: tuple[str, ...]


def read_assignments(
    document: dict[str, Any], keys: Sequence[ServiceKey], current: Assignments, gpus: Sequence[Gpu], operator: str
) -> ReadAssignments:
    """The assignments of a `gpu-assignments.yml`. `gpus` takes precedence over `uuids`, because people edit it.

    Raises:
        UsageError: it has no mapping of services, an unknown GPU, or an invalid value; the message names the service.
    """
    entries = document.get("assignments")
    if not isinstance(entries, dict):
        raise UsageError("assignments: a mapping of services is expected", "see a file that gputui wrote")
    by_label = {gpu.label: gpu.uuid for gpu in gpus} | {gpu.uuid: gpu.uuid for gpu in gpus}
    items, skipped = [], []
    for name, entry in entries.items():
        hits = _matching_keys(str(name), keys, current)
        if len(hits) != 1:
            why = f"it may be {' or '.join(key.full_name for key in hits)}" if hits else "there is no such service"
            skipped.append(f"{clean(str(name), 60)}: {why}")
            continue
        (key,) = hits
        try:
            fields = _FileEntry.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise UsageError(f"{key.name}: {clean(place, 60)}: {clean(first['msg'], 120)}", "fix that line") from None
        labels = [str(label) for label in fields.gpus]
        gone = [label for label in labels if label not in by_label and label not in fields.uuids]
        if gone:
            gpu_labels = ", ".join(gpu.label for gpu in gpus)
            raise UsageError(f"{key.name}: there is no GPU {clean(gone[0], 60)}", f"GPUs on this host: {gpu_labels}")
        old = current.of(key)
        edits = tuple(_edit(argument, value, old, operator) for argument, value in fields.edits.items())
        secret = [edit for edit in edits if edit.value == MASK]
        skipped += [
            f"{key.name}: {clean(edit.argument, 60)} is a secret, which the file does not hold" for edit in secret
        ]
        edits = tuple(edit for edit in edits if edit.value != MASK)
        items.append(
            Assignment(
                key=key,
                gpus=tuple(by_label.get(label, label) for label in labels),
                enabled=fields.enabled,
                adopted=fields.adopted,
                budget_mib=fields.vram_budget_mib,
                priority=fields.priority,
                edits=edits,
            )
        )
    return ReadAssignments(assignments=Assignments(items=tuple(items)), skipped=tuple(skipped))


def _matching_keys(name: str, keys: Sequence[ServiceKey], current: Assignments) -> list[ServiceKey]:
    """The services that a name in the file may mean. If it is ambiguous, only those with an assignment, because only
    these are written to the file."""
    hits = [key for key in keys if name in (key.short_name, key.full_name)]
    assigned = [key for key in hits if current.of(key) is not None]
    return assigned if len(hits) > 1 and assigned else hits


def _edit(argument: str, value: str | None, old: Assignment | None, operator: str) -> Edit:
    """A changed argument; one whose value is masked in the file keeps its current value."""
    for edit in old.edits if old else ():
        if edit.argument == argument and value in (edit.value, mask_secret(argument, edit.value or "")):
            return edit
    return Edit(argument=argument, value=value, reason=f"written by hand, taken in by {operator}")
