"""The process of an apply, which stands by until it is told what to do."""

from pathlib import Path

import pytest

from gputui.apply.launcher import ApplyRequest, Launcher


@pytest.fixture
def apply_request(tmp_path: Path) -> ApplyRequest:
    return ApplyRequest(apply_id=7, how="carry out", state_dir=tmp_path)


def test_a_process_that_stands_by_carries_out_what_it_is_told(apply_request: ApplyRequest) -> None:
    launcher = Launcher([])
    launcher.stand_by()
    assert launcher.launch(apply_request).wait(30) == 2
    assert "there is no apply 7" in apply_request.log.read_text()


def test_one_that_died_while_it_stood_by_is_replaced(apply_request: ApplyRequest) -> None:
    launcher = Launcher([])
    launcher.stand_by()
    assert launcher._standing_by is not None
    launcher._standing_by.kill()
    launcher._standing_by.wait(30)
    assert launcher.launch(apply_request).wait(30) == 2
    assert "there is no apply 7" in apply_request.log.read_text()


def test_one_that_is_not_needed_ends_by_itself() -> None:
    launcher = Launcher([])
    launcher.stand_by()
    process = launcher._standing_by
    assert process is not None and process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 0
