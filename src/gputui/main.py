"""Builds the adapters and wires them together; nothing imports this."""

import argparse
import gc
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gputui.cli.arguments import parse
from gputui.cli.verb import Verb
from gputui.controller.watch.gpu_watch import GpuWatch
from gputui.domain.errors import GputuiError
from gputui.domain.unexpected import UNEXPECTED, unexpected
from gputui.state.log_file import start_log

if TYPE_CHECKING:  # imported later, while the GPUs are already being read
    from gputui.compose.files import ComposeFiles
    from gputui.controller.local_controller import LocalController
    from gputui.controller.protocols import Controller
    from gputui.controller.store import Store
    from gputui.controller.watch.compose_watch import ComposeWatch
    from gputui.domain.event import Finish
    from gputui.domain.snapshot import EngineStatus
    from gputui.engine.docker_engine import DockerEngine
    from gputui.engine.protocol import Engine
    from gputui.gpus.source import GpuSource
    from gputui.state.state_dir import StateDir

FIRST_LOOK_S = 15.0


def main(arguments: Sequence[str] | None = None) -> None:
    """The `gputui` command."""
    if "_ARGCOMPLETE" in os.environ:
        _complete()
    parsed = parse(sys.argv[1:] if arguments is None else arguments)
    parsed.log = str(start_log(debug=parsed.debug))
    try:
        code = _run(parsed)
        sys.stdout.flush()
    except GputuiError as error:
        sys.stderr.write(f"gputui: {error.what}\n" + (f"gputui: {error.fix}\n" if error.fix else ""))
        code = error.exit_code
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # The reader is gone; discard what Python would write at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    except Exception as error:  # a defect: the log has its location, and the terminal shows no user data
        logging.getLogger(__name__).error("ended by an unexpected error", exc_info=error)
        sys.stderr.write(unexpected(error, parsed.log))
        code = UNEXPECTED
    sys.stderr.flush()
    # A thread that hangs in the driver or the engine must not keep the program alive.
    os._exit(code)


def _complete() -> None:
    """Answer a completion request of the shell."""
    import tempfile  # noqa: PLC0415 - only needed for completion

    from gputui.cli.shell_completion import complete  # noqa: PLC0415
    from gputui.engine.engine_address import context_names  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="gputui-demo-", ignore_cleanup_errors=True) as state:

        def open_controller(arguments: argparse.Namespace) -> "Controller":
            arguments.readonly, arguments.definition, arguments.verb = True, None, None
            is_real = arguments.demo is None
            server = _real_server(arguments) if is_real else _simulated_server(arguments, Path(state))
            controller = server.controller()
            controller.watch.start()
            return controller

        code = complete(open_controller, lambda: context_names(os.environ))
    if code is not None:
        os._exit(code)  # as at the end of every command: no thread that hangs may keep it


def _run(arguments: argparse.Namespace) -> int:
    if arguments.verb == "carry-out":
        return _carry_out(arguments)
    if arguments.demo is None:
        return _serve(_real_server(arguments), arguments)
    import tempfile  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="gputui-demo-", ignore_cleanup_errors=True) as state:
        code = _serve(_simulated_server(arguments, Path(state)), arguments)
    if code == 0 and arguments.definition is not None and arguments.definition.saves:
        sys.stderr.write("gputui: simulated: nothing is kept after this command\n")
    return code


@dataclass(frozen=True, slots=True)
class Server:
    """The GPUs of a server, which can be watched before the rest is imported, and how to create its controller."""

    gpus: GpuWatch
    controller: Callable[[], "LocalController"]


def _serve(server: Server, arguments: argparse.Namespace) -> int:
    return _screen(server, arguments) if arguments.verb is None else _verb(server, arguments)


def _screen(server: Server, arguments: argparse.Namespace) -> int:
    from gputui.app.terminal.startup_preview import StartupPreview, terminal  # noqa: PLC0415 - a verb draws nothing

    gpus = server.gpus
    title = "gputui" if arguments.demo is None else "gputui  SIMULATED"
    with StartupPreview(terminal(), title, lambda: (gpus.inventory(), gpus.readings())) as preview:
        gpus.on_change(preview.draw)
        preview.draw()
        gpus.start()
        from gputui.app.app import run_app  # noqa: PLC0415
        from gputui.state.file_io import packaged  # noqa: PLC0415

        controller = server.controller()
        _collect_garbage()
        try:
            return run_app(controller, arguments, packaged("themes"), preview.hand_over)
        finally:
            _close(controller)


def _verb(server: Server, arguments: argparse.Namespace) -> int:
    verb: Verb = arguments.definition
    controller = server.controller()
    if verb.needs_server:
        controller.watch.start()
    _collect_garbage()
    try:
        return verb.run(controller, arguments)
    finally:
        _close(controller)


def _close(controller: "LocalController") -> None:
    controller.logs.close_all()
    controller.watch.close()


def _collect_garbage() -> None:
    """Enable garbage collection, except for everything imported so far, which lives until exit."""
    gc.freeze()
    gc.enable()


def _compose_files(arguments: argparse.Namespace) -> "ComposeFiles":
    from gputui.compose.files import ComposeFiles, compose_files  # noqa: PLC0415

    if arguments.demo is not None and not arguments.file:
        return ComposeFiles()
    return compose_files(arguments.file, Path(), os.environ)


def _compose(files: "ComposeFiles", arguments: argparse.Namespace) -> "ComposeWatch":
    from gputui.controller.watch.compose_watch import ComposeWatch  # noqa: PLC0415

    watch = ComposeWatch(files, arguments.project_name)
    # The screen shows the GPUs first, and errors in a file as a note; a missing file was mistyped.
    if arguments.verb is not None or watch.is_missing:
        watch.read()
    return watch


def _real_server(arguments: argparse.Namespace) -> Server:
    from gputui.engine.docker_engine import DockerEngine  # noqa: PLC0415 - a demonstration needs none

    engine = DockerEngine(arguments.host, arguments.context)
    gpus = GpuWatch(_source(engine, arguments), arguments.interval)
    return Server(gpus, lambda: _real_controller(gpus, engine, arguments))


def _real_controller(gpus: GpuWatch, engine: "DockerEngine", arguments: argparse.Namespace) -> "LocalController":
    from gputui.apply.launcher import ApplyRequest, Launcher  # noqa: PLC0415
    from gputui.controller.local_controller import LocalController  # noqa: PLC0415
    from gputui.controller.settings import Settings  # noqa: PLC0415
    from gputui.gpus.processes import in_container  # noqa: PLC0415
    from gputui.state.audit import operator  # noqa: PLC0415
    from gputui.state.state_dir import state_dir  # noqa: PLC0415

    def directory(status: "EngineStatus") -> "StateDir":
        return state_dir(status.info.id if status.info else "", engine.socket)

    launcher = Launcher(_engine_options(arguments))
    verb: Verb | None = arguments.definition
    if verb is not None and verb.carries_out and not arguments.readonly:
        launcher.stand_by()

    def start_process(number: int, store: "Store", ending: "Finish") -> None:
        process = launcher.launch(ApplyRequest(apply_id=number, how=ending, state_dir=store.directory))
        store.applies.claim(number, process.pid)
        # Wait for it, or a zombie would keep its pid.
        threading.Thread(target=process.wait, daemon=True).start()

    settings = Settings(
        host=socket.gethostname(),
        named_by_engine=in_container(),
        operator=operator(),
        settle_s=_seconds(arguments, "settle", 6.0),
        health_limit_s=_seconds(arguments, "health_limit", 1800.0),
        readonly=arguments.readonly,
        path_aliases=dict(arguments.path_alias),
        mechanism=arguments.mechanism,
        state_dir=directory,
        launch=start_process,
    )
    return LocalController(gpus, engine, _compose(_compose_files(arguments), arguments), settings)


def _source(engine: "Engine", arguments: argparse.Namespace) -> "GpuSource":
    """NVML, else `nvidia-smi`, here or in a container with all GPUs."""
    from gputui.controller.watch.probe_container import EVERY_S, ProbeContainer  # noqa: PLC0415
    from gputui.engine.protocol import owners_of_pids  # noqa: PLC0415
    from gputui.gpus.first_source import FirstSource  # noqa: PLC0415
    from gputui.gpus.nvidia.nvidia_smi import NvidiaSmiSource, run_on_path  # noqa: PLC0415
    from gputui.gpus.nvidia.nvml import NvmlSource  # noqa: PLC0415
    from gputui.gpus.owned_source import OwnedSource  # noqa: PLC0415
    from gputui.gpus.processes import sees_host_processes  # noqa: PLC0415

    sources: list[GpuSource] = [NvmlSource(), NvidiaSmiSource(run_on_path, "nvidia-smi")]
    asked_for: GpuSource | None = None
    if not arguments.readonly:
        image = os.environ.get("GPUTUI_PROBE_IMAGE")
        probe = ProbeContainer(engine, arguments.mechanism, image)
        sources.append(NvidiaSmiSource(probe.run, "nvidia-smi in a container", every_s=EVERY_S))
        asked_for = sources[-1] if image else None
    first = FirstSource(sources, asked_for)
    return first if sees_host_processes() else OwnedSource(first, lambda: owners_of_pids(engine))


def _seconds(arguments: argparse.Namespace, name: str, default: float) -> float:
    option = getattr(arguments, name, None)
    return default if option is None else float(option)


def _engine_options(arguments: argparse.Namespace) -> list[str]:
    options = ["--debug"] if arguments.debug else []
    if arguments.host:
        options += ["--host", arguments.host]
    if arguments.context:
        options += ["--context", arguments.context]
    for path in _compose_files(arguments).paths:
        options += ["--file", str(path.absolute())]
    if arguments.mechanism:
        options += ["--mechanism", arguments.mechanism]
    if arguments.project_name:
        options += ["--project-name", arguments.project_name]
    return options


def _carry_out(arguments: argparse.Namespace) -> int:
    from gputui.apply.process import await_request, carry_out  # noqa: PLC0415
    from gputui.controller.store import Store  # noqa: PLC0415
    from gputui.engine.docker_engine import PATIENT_TIMEOUT_S, DockerEngine  # noqa: PLC0415

    engine = DockerEngine(arguments.host, arguments.context, timeout_s=PATIENT_TIMEOUT_S)
    source = _source(engine, arguments)
    _collect_garbage()
    request = await_request()
    if request is None:
        return 0
    os.environ["GPUTUI_STATE_DIR"] = str(request.state_dir)
    store = Store(request.state_dir)
    result = carry_out(engine, source, store.applies, request)
    _remove_old(store)
    if result in ("rolled_back", "failed") and store.applies.record(request.apply_id).missing:
        _fall_back(arguments)
    return {"done": 0, "rolled_back": 4}.get(result, 5)


def _remove_old(store: "Store") -> None:
    from gputui.domain.retention import Retention  # noqa: PLC0415
    from gputui.state.cleanup import remove_old  # noqa: PLC0415

    with suppress(GputuiError):  # the next apply tries again
        remove_old(store.database, Retention())


def _fall_back(arguments: argparse.Namespace) -> None:
    """Assign another GPU to services with the fallback policy `auto`, without asking."""
    controller = _real_server(arguments).controller()
    controller.watch.start()
    try:
        controller.watch.wait(FIRST_LOOK_S)
        number = controller.applies.fall_back(frozenset(("auto",)))
        while number is not None and controller.history.record(number).under_way:
            time.sleep(0.2)
    finally:
        _close(controller)


def demo_controller(arguments: argparse.Namespace, directory: Path) -> "LocalController":
    """The controller of a simulated server, with its state in `directory`."""
    return _simulated_server(arguments, directory).controller()


def _simulated_server(arguments: argparse.Namespace, directory: Path) -> Server:
    from gputui.controller.local_controller import LocalController  # noqa: PLC0415
    from gputui.controller.settings import Settings  # noqa: PLC0415
    from gputui.simulated.gpu_source import SimulatedSource  # noqa: PLC0415
    from gputui.simulated.scenario import DEFAULT, read_scenario  # noqa: PLC0415
    from gputui.simulated.simulated_engine import SimulatedEngine  # noqa: PLC0415
    from gputui.state.audit import operator  # noqa: PLC0415
    from gputui.state.state_dir import StateDir  # noqa: PLC0415

    scenario = read_scenario(arguments.demo or DEFAULT)
    engine = SimulatedEngine(scenario)
    source = SimulatedSource(scenario, engine.claims)
    gpus = GpuWatch(source, arguments.interval)

    def start_thread(number: int, store: "Store", ending: "Finish") -> None:
        from gputui.apply.executor import Executor  # noqa: PLC0415

        # The simulated engine lives in this process, so its applies do too.
        store.applies.claim(number, os.getpid())
        executor = Executor(engine, source, store.applies, number)
        target = executor.roll_back if ending == "roll back" else executor.run
        threading.Thread(target=target, name="apply", daemon=True).start()

    settings = Settings(
        host=scenario.host,
        operator=operator(),
        settle_s=_seconds(arguments, "settle", 3.0),
        health_limit_s=_seconds(arguments, "health_limit", 1800.0),
        readonly=arguments.readonly,
        path_aliases=dict(arguments.path_alias),
        mechanism=arguments.mechanism,
        simulated=True,
        state_dir=lambda _status: StateDir(directory),
        launch=start_thread,
    )

    def controller() -> LocalController:
        files = _copied(_compose_files(arguments), directory)
        return LocalController(gpus, engine, _compose(files, arguments), settings)

    return Server(gpus, controller)


def _copied(files: "ComposeFiles", directory: Path) -> "ComposeFiles":
    """Editable copies of the Compose files for a demonstration, next to links to their neighbouring files."""
    if not files.paths or any(not path.is_file() for path in files.paths):
        return files
    import shutil  # noqa: PLC0415

    copies: dict[Path, Path] = {}
    for number, folder in enumerate(dict.fromkeys(path.absolute().parent for path in files.paths)):
        copy = directory / f"compose-{number}" / folder.name
        copy.mkdir(parents=True)
        for beside in folder.iterdir():
            (copy / beside.name).symlink_to(beside)
        copies[folder] = copy
    paths = [copies[path.absolute().parent] / path.name for path in files.paths]
    for original, path in zip(files.paths, paths, strict=True):
        path.unlink()
        shutil.copyfile(original, path)
    return replace(files, paths=tuple(paths))
