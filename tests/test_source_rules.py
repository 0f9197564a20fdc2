"""Rules of this code that no linter knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "src" / "gputui"
DIGIT_TESTS = {"isdigit", "isdecimal", "isnumeric"}


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        yield path, ast.parse(path.read_text())


def test_text_becomes_a_number_in_one_place_only() -> None:
    """`"²".isdigit()` holds, and `int("²")` fails: `domain.text` reads numbers from outside."""
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in DIGIT_TESTS
    ]
    assert found == []


def test_a_thread_that_watches_is_a_watcher() -> None:
    """A loop of its own in a thread ends at its first error, and nobody sees that."""
    loops = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path, tree in trees()
        if "controller" in path.parts and path.name != "watcher.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.name == "_run"
        and any(isinstance(one, ast.While) for one in node.body)
    ]
    assert loops == []


def test_no_two_files_have_one_name() -> None:
    names = [path.name for path, _ in trees() if path.name != "__init__.py"]
    # A verb is named after what it does.
    verbs = {path.name for path in (SOURCE / "cli" / "verbs").glob("*.py")}
    assert {name for name in names if names.count(name) > 1} <= verbs


VAGUE = {
    "one",
    "found",
    "other",
    "others",
    "before",
    "after",
    "now",
    "own",
    "how",
    "left",
    "told",
    "said",
    "what",
    "given",
    "asked",
    "known",
    "seen",
    "made",
    "rest",
    "then",
    "was",
    "both",
    "several",
    "whole",
    "kept",
}


def bindings(tree: ast.Module) -> Iterator[str]:
    """The names that are given to values."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def test_names_say_what_their_value_is() -> None:
    names = [name for _, tree in trees() for name in bindings(tree)]
    vague = [name for name in names if name in VAGUE]
    assert len(vague) <= len(names) / 100, sorted(set(vague))
