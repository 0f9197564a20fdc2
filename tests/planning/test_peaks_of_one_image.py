"""Services of one image that differ by a variable of their own are told apart in what was observed of them."""

from gputui.domain.launch import launch_of
from gputui.planning.needs.observations import peak_key


def key(*variables: str) -> object:
    return peak_key("speech:1", launch_of({"Cmd": ["serve"], "Env": list(variables)}, {}), 1, 24_000)


def test_another_variable_is_another_service() -> None:
    assert key("WHISPER_MODEL=large-v3") != key("WHISPER_MODEL=tiny")


def test_what_an_image_sets_and_secrets_make_no_difference() -> None:
    assert key("PATH=/bin", "HF_TOKEN=a", "CUDA_VERSION=12") == key("PATH=/usr/bin", "HF_TOKEN=b", "CUDA_VERSION=13")


def test_the_gpu_that_it_runs_on_makes_none_either() -> None:
    assert key("NVIDIA_VISIBLE_DEVICES=0", "CUDA_VISIBLE_DEVICES=0") == key("NVIDIA_VISIBLE_DEVICES=3")
