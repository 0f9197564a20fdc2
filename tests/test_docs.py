"""The documents speak of everything that there is to look up."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FINDINGS = ROOT / "src" / "gputui"


def codes_of(path: Path) -> Iterator[str]:
    """The codes of findings that a module raises, as they are written in calls of `about` and `Finding`."""
    tree = ast.parse(path.read_text())
    constants = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        if node.func.id == "about" and len(node.args) > 1:
            code = node.args[1]
        elif node.func.id == "Finding":
            code = next((one.value for one in node.keywords if one.arg == "code"), ast.Constant(None))
        else:
            continue
        value = code.value if isinstance(code, ast.Constant) else constants.get(getattr(code, "id", ""))
        if isinstance(value, str):
            yield value


def test_every_code_of_a_finding_is_explained() -> None:
    raised = {code for path in FINDINGS.rglob("*.py") for code in codes_of(path)}
    explained = "".join((ROOT / "docs" / name).read_text() for name in ("planning.md", "applying.md"))
    assert len(raised) > 50
    assert {code for code in raised if f"`{code}`" not in explained} == set()
