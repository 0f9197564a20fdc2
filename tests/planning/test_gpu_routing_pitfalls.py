"""The pitfalls of giving GPUs to containers that people fell into, as they wrote them down."""

import subprocess
import sys
from pathlib import Path

import pytest

from gputui.compose.files import ComposeFiles
from gputui.compose.reading import read_project
from gputui.domain.container import ContainerSpec
from gputui.domain.errors import UsageError
from gputui.domain.serving import Serving
from gputui.planning.changes.container_view import container_view
from gputui.planning.changes.spec_edit import with_gpus
from gputui.planning.findings.find_all import find_all
from tests.builders import gpu, reading, service

HOST = [gpu(index) for index in range(8)]

COMMON = """
services:
  llm:
    image: vllm/vllm-openai
    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: all
              capabilities: [compute, utility]
    environment:
      - NVIDIA_VISIBLE_DEVICES=all
      - CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES:-0}
"""


def made(folder: Path, *indices: int) -> tuple[dict[str, str], list[dict[str, object]]]:
    """The variables and device requests of the service when it is given these GPUs."""

    (folder / "compose.yaml").write_text(COMMON)
    one = read_project(ComposeFiles((folder / "compose.yaml",))).service("llm")
    assert one is not None
    assert one.gpus == ("all",), "a request for the driver nvidia is one for GPUs, whatever capabilities it names"
    view = container_view(HOST, [HOST[index].uuid for index in indices])
    body = with_gpus(ContainerSpec(name="llm", body=one.body), view, revision=1, operator="alice").body
    return dict(line.partition("=")[::2] for line in body["Env"]), body["HostConfig"]["DeviceRequests"]


def test_pitfall_1_the_hosts_cuda_visible_devices_never_reaches_a_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", "3", "0,1,2,3"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
        variables, (request,) = made(tmp_path, 1)
        assert variables["NVIDIA_VISIBLE_DEVICES"] == HOST[1].uuid, "not all, as the file says"
        assert variables["CUDA_VISIBLE_DEVICES"] == "0"
        assert request["DeviceIDs"] == [HOST[1].uuid]


def test_pitfall_2_indices_inside_are_counted_anew(tmp_path: Path) -> None:
    variables, _ = made(tmp_path, 2, 5)
    assert variables["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert variables["NVIDIA_VISIBLE_DEVICES"] == f"{HOST[2].uuid},{HOST[5].uuid}"


def test_pitfall_3_nothing_of_cuda_is_ever_initialised_here() -> None:
    script = (
        "import pkgutil, importlib, sys, gputui\n"
        "for one in pkgutil.walk_packages(gputui.__path__, 'gputui.'):\n"
        "    if not one.name.endswith('__main__'): importlib.import_module(one.name)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('torch', 'cuda', 'cupy', 'pycuda', 'numba')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_pitfall_4_more_ranks_than_gpus_is_told_before_the_launch() -> None:
    one = service("llm", HOST[0], HOST[1], backend="vllm", serving=Serving(tensor=4, world=4))
    found = find_all([one], HOST, [reading(each) for each in HOST], ())
    assert any(each.severity == "error" and "4" in each.text and "2" in each.text for each in found), found


def test_pitfall_5_count_and_device_ids_are_refused_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        COMMON.replace("count: all", "count: 2\n              device_ids: ['0', '1']")
    )
    with pytest.raises(UsageError, match=r"compose.yaml:\d+: .*count and device_ids exclude each other"):
        read_project(ComposeFiles((tmp_path / "compose.yaml",)))
