"""What a command line call, and the first picture of the screen, must not load."""

import subprocess
import sys


def run(script: str) -> None:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_verb_does_not_load_textual() -> None:
    run(
        "import sys, os; os._exit = lambda code: None; sys.argv = ['gputui', '--demo', 'gpus', '--json'];"
        "from gputui.main import main; main();"
        "assert not [name for name in sys.modules if name.split('.')[0] in ('textual', 'rich', 'docker')], sys.modules"
    )


def test_the_first_picture_waits_for_neither_pydantic_nor_docker() -> None:
    run(
        "import sys; import gputui.main, gputui.app.app;"
        "late = ('pydantic', 'docker', 'requests', 'hashlib', 'gputui.controller.store',"
        "'gputui.controller.local_applies');"
        "assert not [name for name in late if name in sys.modules], sys.modules"
    )


def test_the_first_gpus_wait_for_neither_the_screen_nor_the_control_room() -> None:
    run(
        "import sys; import gputui.main, gputui.app.terminal.startup_preview;"
        "import gputui.gpus.nvidia.nvml, gputui.engine.docker_engine;"
        "late = ('textual', 'gputui.controller.local_controller', 'gputui.controller.protocols',"
        "'gputui.planning.services', 'yaml');"
        "assert not [name for name in late if name in sys.modules], sys.modules"
    )
