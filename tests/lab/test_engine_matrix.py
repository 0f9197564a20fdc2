"""Every engine that people run: each mechanism that it has gives exactly what is assigned, each that it lacks is
refused in one line before anything is stopped, and the first journey works."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import why_no_lab
from tests.lab.engine_matrix import (
    MECHANISMS,
    REFUSALS,
    VARIANTS,
    Cell,
    EngineLab,
    fresh,
    opened,
    run_row,
    table,
    write_project,
)
from tests.lab.engine_trees import Variant
from tests.lab.test_screen_journey import select
from tests.terminal import Terminal

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda variant: variant.name)
def engine(request: pytest.FixtureRequest, installed: Path) -> Iterator[EngineLab]:
    reason = why_no_lab()
    if reason:
        pytest.skip(reason)
    variant: Variant = request.param
    with opened(variant, installed) as lab:
        yield lab


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_what_is_assigned_is_what_the_process_gets(engine: EngineLab, mechanism: str) -> None:
    row = run_row(engine, mechanism)
    print(table([row]))
    assert row.good, table([row])


def test_the_first_journey(engine: EngineLab) -> None:
    """A service that has no GPU gets one by keyboard; on an engine that cannot do it, the screen says why."""
    able = len(REFUSALS[engine.variant.name]) < len(MECHANISMS)
    fresh(engine)
    write_project(engine, [Cell(name, "", (), None) for name in ("embed", "llm")], [])
    made = engine.gputui("apply", "--yes", "--settle", "0.5")
    assert made.returncode == 0, made.stdout + made.stderr
    before = engine.names()
    terminal = Terminal(engine.command(), engine.environment())
    try:
        terminal.expect(lambda text: "embed" in text and "llm" in text and "H100" in text)
        select(terminal, ["embed", "llm"], "llm")
        terminal.keys("2")
        terminal.expect("– → 2")
        terminal.keys("a")
        if able:
            terminal.expect("Carry this out?")
            terminal.keys("y")
            terminal.expect("the apply is done", limit_s=40)
        else:
            seen = " ".join(terminal.expect("cannot be given its GPUs").split())
            assert "the apply is done" not in seen
    finally:
        terminal.kill()
    after = engine.names()
    changed = {name for name in before if after.get(name) != before[name]}
    assert after.keys() == before.keys()
    assert changed == ({"ai-llm-1"} if able else set())
    assert engine.nodes("ai-llm-1") == ({"nvidia2"} if able else set())
    assert engine.gpus_of("ai-llm-1") == ({"2"} if able else set())
    assert "ready" in engine.gputui("logs", "embed").stdout, "each engine's log is understood"


def test_where_the_toolkit_ignores_the_variable_only_cdi_gives_a_gpu(engine: EngineLab) -> None:
    fresh(engine)
    write_project(engine, [Cell("llm", "", (), None)], [])
    assert engine.gputui("apply", "--yes", "--settle", "0.5").returncode == 0
    before = engine.names()
    setting = engine.folder / "etc/nvidia-container-runtime/config.toml"
    setting.parent.mkdir(exist_ok=True)
    setting.write_text("accept-nvidia-visible-devices-envvar-when-unprivileged = false\n")
    try:
        assert engine.gputui("assign", "llm", "--gpus", "1", "--yes").returncode == 0
        done = engine.gputui("apply", "--yes", "--settle", "0.5")
    finally:
        setting.unlink()
    if "cdi" in REFUSALS[engine.variant.name]:
        assert done.returncode == 2, done.stdout + done.stderr
        assert "cannot be given its GPUs" in done.stderr
        assert engine.names() == before
    else:
        assert done.returncode == 0, done.stdout + done.stderr
        assert engine.nodes("ai-llm-1") == {"nvidia1"}
        assert engine.process_environment("ai-llm-1")["NVIDIA_VISIBLE_DEVICES"] == "void", "it was given by CDI"
