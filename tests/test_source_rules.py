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
    """`"²".isdigit()` holds, and `int("²")` fails: `domain.outside` reads numbers from outside."""
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
        if path.parent.name == "control" and path.name != "watcher.py"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and node.name == "_run"
        and any(isinstance(one, ast.While) for one in node.body)
    ]
    assert loops == []
