"""How far a model is, by the last line of a log that tells."""

import pytest

from gputui.diagnosis.startup_log import loading_of
from gputui.domain.log import Loading


@pytest.mark.parametrize(
    ("line", "loading"),
    [
        ("Loading safetensors checkpoint shards:  62% Completed | 5/8 [00:09<00:05,  1.8s/it]", Loading("loading", 62)),
        ("INFO loader.py: Loading safetensors checkpoint shards 25%", Loading("loading", 25)),
        ("INFO gpu_model_runner.py: Starting to load model Qwen/Qwen3-32B...", Loading("loading")),
        ("INFO default_loader.py: Loading weights took 21.4 seconds", Loading("compiling")),
        ("INFO backends.py: Dynamo bytecode transform time: 8.10 s", Loading("compiling")),
        (
            "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  40%|####      | 27/67",
            Loading("capturing graphs", 40),
        ),
        ("[TP0] Capture cuda graph begin. This can take up to several minutes.", Loading("capturing graphs")),
        ("Fetching 12 files:  25%|##5       | 3/12 [00:10<00:30]", Loading("downloading", 25)),
        ("INFO:     Application startup complete.", Loading("ready")),
        ("The server is fired up and ready to roll!", Loading("ready")),
        ("main: server is listening on http://0.0.0.0:8080 - starting the main loop", Loading("ready")),
        ("load_tensors: loading model tensors, this can take a while...", Loading("loading")),
        ("INFO worker.py: step 100 lr warmup done", None),
        ("redis Connected", None),
        ("Downloading dataset shard 3", None),
        ('INFO: 172.18.0.1:42 - "POST /v1/chat/completions HTTP/1.1" 200 OK', None),
    ],
)
def test_each_program_says_it_in_its_own_words(line: str, loading: Loading | None) -> None:
    assert loading_of([line]) == loading


def test_the_last_word_counts() -> None:
    assert loading_of(["Loading weights took 3 s", "Application startup complete.", "200 OK"]) == Loading("ready")
