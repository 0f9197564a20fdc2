"""The first journey on a real terminal, as a person would make it; judged from the engine and the kernel."""

import time
from collections.abc import Callable, Iterator

import pytest

from tests.lab.conftest import GPUS, Lab
from tests.lab.driver import uuid_of, wait_for
from tests.lab.judgement import assert_moved
from tests.terminal import Terminal

pytestmark = pytest.mark.lab


@pytest.fixture
def screens(lab: Lab) -> Iterator[Callable[..., Terminal]]:
    """Opens screens of gputui, as an ordinary user."""
    opened: list[Terminal] = []

    def opening(*arguments: str) -> Terminal:
        terminal = Terminal(lab.command(*arguments), lab.environment())
        opened.append(terminal)
        return terminal

    yield opening
    for terminal in opened:
        terminal.kill()


def select(terminal: Terminal, names: list[str], name: str) -> None:
    terminal.keys("g", *["j"] * sorted(names).index(name))


def test_a_service_is_moved_by_keyboard(
    lab: Lab, three_services: dict[str, int], screens: Callable[..., Terminal]
) -> None:
    name = lab.random.choice(sorted(three_services))
    home = three_services[name]
    target = lab.random.choice([gpu for gpu in range(GPUS) if gpu not in three_services.values()])
    stranger_mib = 79_000
    lab.driver.strangers = [(str(target), 1, stranger_mib)]
    lab.driver.write()
    before = lab.names()
    print(f"move {name} from {home} to {target}")

    terminal = screens()
    first = terminal.expect(lambda text: all(f"{service} 8.0" in text for service in three_services))
    assert first.count("H100 80GB") == GPUS
    terminal.expect("nothing to do")

    select(terminal, list(three_services), name)
    terminal.keys(str(target))
    terminal.expect("may it be changed from here?")
    terminal.keys("y")
    terminal.expect(f"{home} → {home},{target}")
    terminal.keys(str(home))
    terminal.expect(f"{home} → {target} ")
    # The line may be broken anywhere.
    warning = " ".join(terminal.expect(lambda text: "would fit" in " ".join(text.split())).split())
    assert f"{name} needs 8.0 GiB (observed); GPU {target} has" in warning
    assert "process_api" in warning or "root:" in warning or "someone:" in warning, "the warning names who holds it"
    assert "▲ over by" in warning
    terminal.expect(f"recreate {name}  GPUs {home} → {target} · CUDA_VISIBLE_DEVICES=0")

    terminal.keys("a")
    terminal.expect("Carry this out?")
    terminal.keys("y")
    done = terminal.expect("the apply is done", limit_s=40)
    assert f"confirm its GPUs: GPU {target}" in done
    assert f"loaded model on /dev/nvidia{target}" in done, "the new container's log is beside its launch"

    assert_moved(lab, name, target, before)
    after = lab.names()

    terminal.keys("l")
    terminal.expect(f"log of {name}")
    terminal.expect("ready")
    terminal.keys("a")
    terminal.expect("nothing to do: what runs is what is assigned")
    assert lab.names() == after
    before_repaint = terminal.expect(lambda text: "what runs is what is assigned" not in text)
    terminal.keys("C-l")
    terminal.expect(lambda text: text == before_repaint)
    terminal.keys("q")
    terminal.expect("EXIT=0")


def test_a_launch_that_fails_says_why_and_puts_the_old_one_back(lab: Lab, screens: Callable[..., Terminal]) -> None:
    falls = '[ -e /dev/nvidia1 ] && { echo "CUDA out of memory on /dev/nvidia1"; exit 3; }; exec /workload'
    identity = lab.engine.run("llm", [uuid_of(0)], command=["sh", "-c", falls])
    lab.loaded("llm")
    terminal = screens()
    terminal.expect("llm")
    terminal.expect("nothing to do")
    terminal.keys("1")
    terminal.expect("may it be changed from here?")
    terminal.keys("y", "0")
    terminal.expect("0 → 1 ")
    terminal.keys("a")
    terminal.expect("Carry this out?")
    terminal.keys("y")
    failed = terminal.expect("failed; what was begun was rolled back", limit_s=40)
    assert "it ended with code 3" in failed
    assert "CUDA out of memory on /dev/nvidia1" in failed
    assert lab.names() == {"llm": identity}
    wait_for("the old one runs", lambda: lab.inspect("llm")["State"]["Running"])
    assert lab.nodes("llm") == {"nvidia0"}


def test_a_shell_in_the_container_is_left_back_to_the_screen(lab: Lab) -> None:
    lab.engine.run("llm", [uuid_of(2)])
    lab.loaded("llm")
    docker = next(path for path in lab.engine.folder.rglob("usr/bin/docker") if path.is_file())
    environment = lab.environment()
    terminal = Terminal(lab.command(), {**environment, "PATH": f"{docker.parent}:{environment['PATH']}"})
    try:
        terminal.expect("nothing to do")
        terminal.keys("e")
        time.sleep(1)
        terminal.type("ls /dev | grep nvidia; echo shell-$((40 + 2))")
        terminal.keys("Enter")
        assert "nvidia2" in terminal.expect("shell-42")
        terminal.type("exit")
        terminal.keys("Enter")
        terminal.expect("nothing to do")
        terminal.keys("F5")
        terminal.expect("looking for GPUs")
        terminal.keys("q")
        terminal.expect("EXIT=0")
    finally:
        terminal.kill()


def test_the_revision_before_comes_back_by_keyboard(lab: Lab, screens: Callable[..., Terminal]) -> None:
    lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", "3", "--yes").returncode == 0
    assert lab.gputui("apply", "--yes", "--settle", "0.5").returncode == 0
    terminal = screens()
    terminal.expect("nothing to do")
    terminal.keys("C-z")
    terminal.expect("Go back to the revision before this one?")
    terminal.keys("y")
    terminal.expect("Carry the rollback out now?")
    terminal.keys("y")
    terminal.expect("the apply is done", limit_s=40)
    assert lab.nodes("llm") == {"nvidia0"}


@pytest.mark.parametrize("leave", ["quit", "lost connection"])
def test_an_apply_outlives_its_screen_and_the_next_one_shows_it(
    lab: Lab, screens: Callable[..., Terminal], leave: str
) -> None:
    lab.engine.run("llm", [uuid_of(0)])
    lab.loaded("llm")
    assert lab.gputui("assign", "llm", "--gpus", "3", "--yes").returncode == 0
    terminal = screens()
    terminal.expect("0 → 3")
    terminal.keys("a")
    terminal.expect("Carry this out?")
    terminal.keys("y")
    terminal.expect("watch it come up")
    if leave == "quit":
        terminal.keys("q")
        terminal.expect("EXIT=0")
    else:
        terminal.kill()
    second = screens()
    second.keys("v")
    second.expect("is applying")
    second.expect("stop the old container")
    second.expect("the apply is done", limit_s=40)
    assert lab.nodes("llm") == {"nvidia3"}
    assert lab.json("history")["applies"][0]["result"] == "done"


def test_without_an_engine_it_goes_on_monitoring_and_reconnects(lab: Lab, screens: Callable[..., Terminal]) -> None:
    lab.engine.run("llm", [uuid_of(0)])
    terminal = screens()
    terminal.expect("llm")
    lab.engine.stop()
    try:
        terminal.expect("monitoring only", limit_s=20)
        assert "H100 80GB" in terminal.text
    finally:
        lab.engine.start()
    terminal.expect(lambda text: "monitoring only" not in text and "llm" in text, limit_s=20)
