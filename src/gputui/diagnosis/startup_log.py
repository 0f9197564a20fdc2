"""Reads from a serving program's log how much memory each part of it took.

The wordings, by program and version: vLLM 0.4.1 to 0.33 (gpu_model_runner, worker, gpu_worker, kv_cache_utils), SGLang
0.2 to 0.5 (model_runner, memory_pool), llama.cpp since 2024 (llama-model, llama-kv-cache, llama-context), TensorRT-LLM
since 0.8 (kvCacheManager, _util.py), TGI since 2 (text_generation_server). `GB` and `GiB` are 2^30 bytes in all of
them, `MB` and `MiB` 2^20.
"""

import re
from collections import defaultdict
from collections.abc import Sequence

from gputui.domain.log import Loading, Phase
from gputui.domain.observation import Measured
from gputui.domain.text import real_number, whole_number

_N = r"([0-9]+(?:\.[0-9]+)?)"
_GIB, _MIB = 1024.0, 1.0

# Kind of memory, line, unit. The last line of each rank counts, and the largest rank.
_LINES: tuple[tuple[str, re.Pattern[str], float], ...] = tuple(
    (kind, re.compile(pattern), unit)
    for kind, pattern, unit in (
        # vLLM
        ("weights", rf"(?:Loading model weights|Model loading) took +{_N} Gi?B", _GIB),
        ("weights", rf"model weights take {_N}GiB", _GIB),
        ("activation", rf"PyTorch activation peak memory takes {_N}GiB", _GIB),
        ("activation", rf"torch peak memory increase: {_N}GiB", _GIB),
        ("cache", rf"the rest of the memory reserved for KV Cache is {_N}GiB", _GIB),
        ("cache", rf"Available KV cache memory: {_N} GiB", _GIB),
        ("cache", rf"reserved {_N} ?GiB memory for KV Cache", _GIB),
        ("graphs", rf"Graph capturing finished in [0-9]+ secs, took {_N} GiB", _GIB),
        # SGLang
        ("weights", rf"Load weight end\..*mem usage={_N} GB", _GIB),
        ("cache", rf"KV Cache is allocated\..*KV size: {_N} GB", _GIB),
        # TensorRT-LLM
        ("weights", rf"Loaded engine size: {_N} MiB", _MIB),
        ("weights", rf"Memory used after loading model weights \(inside torch\).*?: {_N} GiB", _GIB),
        ("activation", rf"dynamically allocated during inference \(inside torch\).*?: {_N} GiB", _GIB),
        ("cache", rf"Allocated {_N} GiB for max tokens in paged KV cache", _GIB),
    )
)
_KEYS_AND_VALUES = re.compile(rf"KV Cache is allocated\..*K size: {_N} GB, V size: {_N} GB")
_SGLANG_GRAPHS = re.compile(rf"(?i)Capture (.{{0,40}})graph end\..*mem usage={_N} GB")
_BUFFER = re.compile(rf"(?:^|\s)(\S+) +(model|KV|RS|compute|LoRA|output)? ?buffer size = +{_N} MiB")
_BUFFERS = {"": "weights", "model": "weights", "KV": "cache", "RS": "cache", "compute": "activation", "LoRA": "weights"}
_TOKENS = (
    re.compile(r"KV cache size: ([0-9,]+) tokens"),
    re.compile(r"max_total_num_tokens=([0-9]+)"),
    re.compile(r"max tokens in paged KV cache \(([0-9]+)\)"),
    re.compile(r"Setting max batch total tokens to ([0-9]+)"),
)
_RANK = re.compile(r"Worker(?:_PP[0-9]+)?_TP([0-9]+)|rank=([0-9]+)|\bTP([0-9]+)\b|\[RANK ([0-9]+)\]")
_HOST = re.compile(r"^CPU|_Host$|BLAS")
"""llama.cpp buffers that are not on a GPU."""
LARGEST_MIB = 10_000_000


def measured_of(lines: Sequence[str]) -> Measured | None:
    """The memory use that the log of one start reports; None if it reports none."""
    by_rank: dict[str, dict[str, float]] = defaultdict(dict)
    buffers: dict[tuple[str, str, str], float] = {}
    tokens = None
    for line in lines:
        rank = next((group for group in _rank(line) if group), "")
        for kind, pattern, unit in _LINES:
            match = pattern.search(line)
            if match:
                by_rank[kind][rank] = (real_number(match[1]) or 0.0) * unit
        halves, graph, buffer = _KEYS_AND_VALUES.search(line), _SGLANG_GRAPHS.search(line), _BUFFER.search(line)
        if halves:
            by_rank["cache"][rank] = sum(real_number(group) or 0.0 for group in halves.groups()) * _GIB
        if graph:
            by_rank["graphs"][f"{rank} {graph[1]}"] = (real_number(graph[2]) or 0.0) * _GIB
        if buffer and not _HOST.search(buffer[1]) and (buffer[2] or "") in _BUFFERS:
            source = line[: buffer.start()].strip()[-40:]
            device = buffer[1].removesuffix("_Split").removesuffix("_Mapped")
            buffers[device, _BUFFERS[buffer[2] or ""], source] = real_number(buffer[3]) or 0.0
        for pattern in _TOKENS:
            match = pattern.search(line)
            if match:
                tokens = whole_number(match[1].replace(",", ""), least=1)
    measured = Measured(
        weights_mib=_fullest(by_rank["weights"], buffers, "weights"),
        cache_mib=_fullest(by_rank["cache"], buffers, "cache"),
        activation_mib=_fullest(by_rank["activation"], buffers, "activation"),
        graphs_mib=_sum_of_one_rank(by_rank["graphs"]),
        cache_tokens=tokens,
    )
    return measured if measured.is_any else None


def _rank(line: str) -> tuple[str | None, ...]:
    match = _RANK.search(line)
    return match.groups() if match else ()


def _fullest(by_rank: dict[str, float], buffers: dict[tuple[str, str, str], float], kind: str) -> int | None:
    by_device: dict[str, float] = defaultdict(float)
    for (device, category, _), mib in buffers.items():
        if category == kind:
            by_device[device] += mib
    most = max([*by_rank.values(), *by_device.values()], default=None)
    return None if most is None or most > LARGEST_MIB else round(most)


def _sum_of_one_rank(graphs: dict[str, float]) -> int | None:
    sums: dict[str, float] = defaultdict(float)
    for key, mib in graphs.items():
        sums[key.partition(" ")[0]] += mib
    most = max(sums.values(), default=None)
    return None if most is None or most > LARGEST_MIB else round(most)


# The phase that each line announces, in the words of vLLM (model_loader, gpu_model_runner, api_server), SGLang
# (model_runner, http_server), TGI (text_generation_launcher), llama.cpp (server), TensorRT-LLM, Transformers (tqdm).
_SAID: tuple[tuple[str, Phase], ...] = (
    (r"Application startup complete|Uvicorn running on|fired up and ready to roll", "ready"),
    (r"server is listening on|all slots are idle|HTTP server listening|text_generation_router.*Connected$", "ready"),
    (r"Captur(?:e|ing) (?:CUDA|cuda) graph.*?(\d{1,3})\s*%", "capturing graphs"),
    (r"Captur(?:e|ing) (?:CUDA|cuda) graph|Cuda Graphs? (?:are )?enabled|Warming up model", "capturing graphs"),
    (r"torch\.compile|Dynamo bytecode|Compiling a graph|Autotuning", "compiling"),
    (r"(?:Fetching \d+ files|Downloading|\.safetensors|\.gguf|\.bin):?.*?(\d{1,3})\s*%\|", "downloading"),
    (r"Download file: |Downloading (?:model|weights|shards)|Fetching \d+ files", "downloading"),
    (r"(?i:Load weight end|Loading weights took|model weights take|model loaded)", "compiling"),
    (r"(?i:loading (?:\w+ )?(?:checkpoint )?shards|loading weights\b(?! took)).*?(\d{1,3})\s*%", "loading"),
    (r"(?i:loading model|load_tensors|Load weight begin|Starting to load model|loading weights)", "loading"),
)
_RULES = tuple((re.compile(pattern), phase) for pattern, phase in _SAID)


def loading_of(lines: Sequence[str]) -> Loading | None:
    """The loading phase according to the last line that reports one; None if no line does."""
    for line in reversed(lines):
        for pattern, phase in _RULES:
            match = pattern.search(line)
            if match:
                percent = whole_number(match[1]) if pattern.groups else None
                return Loading(phase, None if percent is None else min(100, percent))
    return None
