"""By its line in the list it is seen whether a container has to be looked at again."""

import pytest

from gputui.engine.list_line import list_line


def is_older(status: str, before: str, *, state: str = "running", was: str = "running") -> bool:
    now, then = ({"State": one, "Status": text, "Names": ["/svc"]} for one, text in ((state, status), (was, before)))
    return list_line(now).is_older(list_line(then))


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("Up 5 minutes", "Up 5 minutes"), ("Up 5 minutes", "Up 6 minutes"), ("Up 59 minutes", "Up About an hour"),
        ("Up 47 hours", "Up 2 days"), ("Up 59 seconds", "Up About a minute"), ("Up 12 days", "Up 2 weeks"),
        ("Up 3 minutes (healthy)", "Up 4 minutes (healthy)"), ("Exited (0) 2 hours ago", "Exited (0) 3 hours ago"),
        ("Created", "Created"), ("Up Less than a second", "Up Less than a second"),
    ],
)  # fmt: skip
def test_one_that_only_grew_older_is_as_it_was(before: str, now: str) -> None:
    assert is_older(now, before)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("Up 5 minutes", "Up 2 seconds"), ("Up 5 minutes", "Up Less than a second"), ("Up 2 days", "Up 3 minutes"),
        ("Up 3 seconds", "Up 5 seconds"), ("Up Less than a second", "Up 1 second"),
        ("Up 3 minutes (health: starting)", "Up 3 minutes (healthy)"), ("Up 3 minutes", "Up 3 minutes (Paused)"),
        ("Exited (0) 2 hours ago", "Exited (1) 2 hours ago"), ("Exited (0) 2 hours ago", "Exited (0) 2 minutes ago"),
        ("Created", "Up 2 minutes"), ("Up 2 minutes", ""),
    ],
)  # fmt: skip
def test_one_to_which_something_happened_is_not(before: str, now: str) -> None:
    assert not is_older(now, before)


def test_another_state_or_name_is_a_change() -> None:
    assert not is_older("Up 5 minutes", "Up 5 minutes", state="paused")
    renamed = list_line({"State": "running", "Status": "Up 5 minutes", "Names": ["/other"]})
    assert not renamed.is_older(list_line({"State": "running", "Status": "Up 5 minutes", "Names": ["/svc"]}))


def test_a_line_that_lacks_what_lines_have_is_borne() -> None:
    assert list_line({}).is_older(list_line({"Names": None}))
