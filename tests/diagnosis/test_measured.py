"""What serving programs say that they took, in the words of many versions."""

# ruff: noqa: E501 - lines of logs as they are

import pytest

from gputui.diagnosis.startup_log import measured_of
from gputui.domain.observation import Measured

GIB = 1024


@pytest.mark.parametrize(
    ("lines", "measured"),
    [
        pytest.param(
            [
                "INFO 01-14 10:02:33 model_runner.py:1099] Loading model weights took 14.9888 GB",
                "INFO 01-14 10:02:37 worker.py:241] model weights take 14.99GiB; non_torch_memory takes 0.09GiB; "
                "PyTorch activation peak memory takes 1.23GiB; the rest of the memory reserved for KV Cache is 54.93GiB.",
                "INFO 01-14 10:03:00 model_runner.py:1535] Graph capturing finished in 21 secs, took 0.62 GiB",
            ],
            Measured(weights_mib=15350, activation_mib=1260, cache_mib=56248, graphs_mib=635),
            id="vLLM 0.6",
        ),
        pytest.param(
            [
                "(EngineCore pid=131) INFO 11-24 09:13:20 [gpu_model_runner.py:5089] Model loading took 14.96 GiB memory "
                "and 5.213911 seconds",
                "(EngineCore pid=131) INFO 11-24 09:13:41 [gpu_worker.py:772] Available KV cache memory: 54.63 GiB",
                "INFO 11-24 09:13:41 [kv_cache_utils.py:864] GPU KV cache size: 447,408 tokens",
            ],
            Measured(weights_mib=15319, cache_mib=55941, cache_tokens=447_408),
            id="vLLM since 0.11",
        ),
        pytest.param(
            [
                "(Worker_TP0 pid=1) INFO 05-02 10:02:11 [gpu_model_runner.py:1347] Model loading took 7.5 GiB and 5 seconds",
                "(Worker_TP1 pid=2) INFO 05-02 10:02:11 [gpu_model_runner.py:1347] Model loading took 7.6 GiB and 5 seconds",
            ],
            Measured(weights_mib=7782),
            id="vLLM, the fullest rank",
        ),
        pytest.param(
            [
                "[2026-11-24 09:20:20 TP0] Load weight end. elapsed=12.31 s, type=Qwen3ForCausalLM, quant=fp8, "
                "avail mem=63.50 GB, mem usage=15.11 GB.",
                "[2026-11-24 09:20:21 TP0] KV Cache is allocated. dtype: torch.bfloat16, #tokens: 447408, K size: 27.31 GB, "
                "V size: 27.31 GB",
                "[2026-11-24 09:20:30 TP0] Capture decode CUDA graph end. elapsed=9.12 s, mem usage=1.31 GB, avail mem=7.31 GB.",
                "[2026-11-24 09:20:41 TP0] max_total_num_tokens=447408, chunked_prefill_size=8192",
            ],
            Measured(weights_mib=15473, cache_mib=55931, graphs_mib=1341, cache_tokens=447_408),
            id="SGLang",
        ),
        pytest.param(
            [
                "load_tensors:        CUDA0 model buffer size =  4155.99 MiB",
                "load_tensors:   CPU_Mapped model buffer size =   281.81 MiB",
                "llama_kv_cache:      CUDA0 KV buffer size =   512.00 MiB",
                "llama_kv_cache:      CUDA1 KV buffer size =   256.00 MiB",
                "llama_context:      CUDA0 compute buffer size =   560.00 MiB",
                "llama_context:  CUDA_Host  output buffer size =     0.49 MiB",
            ],
            Measured(weights_mib=4156, cache_mib=512, activation_mib=560),
            id="llama.cpp",
        ),
        pytest.param(
            [
                "llm_load_tensors:      CUDA0 buffer size =  4155.99 MiB",
                "llama_kv_cache_init:  CUDA0 KV buffer size = 8.00 MiB",
            ],
            Measured(weights_mib=4156, cache_mib=8),
            id="llama.cpp of 2024",
        ),
        pytest.param(
            [
                "[TensorRT-LLM][INFO] Loaded engine size: 6166 MiB",
                "[TensorRT-LLM][INFO] [MemUsageChange] Allocated 0.56 GiB for max tokens in paged KV cache (2560).",
                "[TensorRT-LLM][INFO] [MemUsageChange] Allocated 62.99 GiB for max tokens in paged KV cache (294848).",
            ],
            Measured(weights_mib=6166, cache_mib=64502, cache_tokens=294_848),
            id="TensorRT-LLM, the last pool",
        ),
    ],
)
def test_what_is_told(lines: list[str], measured: Measured) -> None:
    assert measured_of(lines) == measured


@pytest.mark.parametrize(
    "line",
    [
        "loading took 12 minutes",
        "user: my model loading took 15 GB of my time",
        "buffer size = 9 MiB",
        "Model loading took 9999999999999999999999 GiB",
        "GPU KV cache size: ,,,, tokens",
        "",
    ],
)
def test_other_lines_tell_nothing(line: str) -> None:
    assert measured_of([line]) in (None, Measured())
