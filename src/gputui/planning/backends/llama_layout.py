"""Where llama.cpp puts a model's layers: on which GPU, or in host memory."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import accumulate

from gputui.domain.model import Architecture, ModelFiles
from gputui.domain.serving import Serving
from gputui.domain.text import whole_number
from gputui.planning.needs.model_memory import kv_bits, layers_with_cache, values_per_token

DEFAULT_CONTEXT = 4096
"""Without `-c` newer servers use what fits; this is the least they should have."""
CELLS = 256
"""The cache length is a multiple of this (llama-kv-cache)."""
LONGEST_PATTERN = 300

HOST = "CPU"
EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"
"""The tensors that `--cpu-moe` keeps in host memory (common/common.h)."""

_LAYER = re.compile(r"blk\.([0-9]{1,5})\.")
_REPEATS_OF_REPEATS = re.compile(r"[*+}]\)[*+{]|\)[*+]\S*\)[*+{]")


def readable_patterns(placed: Iterable[tuple[str, str]]) -> bool:
    """Whether `--override-tensor` patterns can be evaluated: short, without nested repeats (which may take forever),
    and with a GPU or the host as buffer."""
    for pattern, buffer in placed:
        if len(pattern) > LONGEST_PATTERN or _REPEATS_OF_REPEATS.search(pattern) or _gpu_of(buffer) is None:
            return False
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError):
            return False
    return True


def _gpu_of(buffer: str) -> int | None:
    """The GPU number of a buffer, -1 for the host's; None for any other."""
    if buffer.startswith((HOST, "CUDA_Host")):
        return -1
    return whole_number(buffer.removeprefix("CUDA"), least=0, most=64) if buffer.startswith("CUDA") else None


def parts_bytes(
    files: ModelFiles, serving: Serving, gpus: int, totals_mib: Sequence[int] = ()
) -> tuple[int, ...] | None:
    """Bytes of weights and cache on each GPU; None if the files do not tell enough.

    Layers are not split. Their position, from 0 to 1 in order with the output last, is matched to the GPUs' shares:
    those of `--tensor-split`, else of free memory, for which the totals stand here (`llama_model::load_tensors`).
    """
    model, used = files.architecture, used_gpus(serving, gpus)
    if files.weights_bytes is None or serving.gpu_layers is None or not used:
        return None
    cache = _cache_of_a_layer(model, serving)
    if cache is None or model is None or not model.layers:
        return None
    shares = _shares(serving, used, totals_mib)
    layers = model.layers
    first = max(0, layers + 1 - serving.gpu_layers)
    bounds = list(accumulate(shares))

    def gpu_at(slot: int) -> int | None:
        """The GPU of a layer, or of the output after the last one; None for the host."""
        if slot < first:
            return None
        place = (slot - first) / max(1, min(serving.gpu_layers or 0, layers + 1))
        return used[next((index for index, bound in enumerate(bounds) if bound > place), len(used) - 1)]

    gpu_bytes = [0] * max(gpus, max(used) + 1)
    if serving.by_rows:
        on_gpus = (layers + 1 - first) / (layers + 1)
        for place, share in zip(used, shares, strict=True):
            gpu_bytes[place] += int(files.weights_bytes * share * on_gpus)
        on_main = 0 if serving.cache_on_host else cache * max(0, layers - first)
        gpu_bytes[serving.main_gpu if serving.main_gpu < len(gpu_bytes) else 0] += on_main
        return tuple(gpu_bytes)
    weights = _weights_of_slots(files, layers, serving.placed, gpu_bytes)
    slot_bytes = [*weights.items(), *(() if serving.cache_on_host else ((layer, cache) for layer in range(layers)))]
    for slot, size in slot_bytes:
        gpu = gpu_at(slot)
        if gpu is not None:
            gpu_bytes[gpu] += size
    return tuple(gpu_bytes)


def used_gpus(serving: Serving, gpus: int) -> tuple[int, ...]:
    """The positions of the GPUs that hold layers."""
    return serving.used if serving.used is not None else tuple(range(serving.world or gpus))


def _shares(serving: Serving, used: Sequence[int], totals_mib: Sequence[int]) -> list[float]:
    if len(serving.split) == len(used):
        return list(serving.split)
    sizes = [totals_mib[gpu] for gpu in used if gpu < len(totals_mib)]
    if len(sizes) != len(used) or not sum(sizes):
        return [1 / len(used)] * len(used)
    return [size / sum(sizes) for size in sizes]


def _weights_of_slots(
    files: ModelFiles, layers: int, placed: tuple[tuple[str, str], ...], gpu_bytes: list[int]
) -> dict[int, int]:
    """Bytes by the layer that a tensor belongs to. Tensors outside all layers go with the output; the embedding stays
    in host memory unless it is also the output. Bytes that patterns put on a GPU are added to `gpu_bytes`."""
    if not files.tensors:
        each = (files.weights_bytes or 0) // (layers + 1)
        return dict.fromkeys(range(layers + 1), each)
    slots: dict[int, int] = {}
    for buffer, layer, size in _by_layer(files.tensors, placed):
        gpu = _gpu_of(buffer) if buffer else None
        if gpu is None:
            slot = min(layers, layer) if layer is not None else layers
            slots[slot] = slots.get(slot, 0) + size
        elif 0 <= gpu < len(gpu_bytes):
            gpu_bytes[gpu] += size
    return slots


@lru_cache(maxsize=64)
def _by_layer(
    tensors: tuple[tuple[str, int], ...], placed: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, int | None, int], ...]:
    """Bytes by layer and by the buffer that a pattern assigns (empty if none does); the first pattern that matches a
    tensor's name wins."""
    tests: list[tuple[Callable[[str], object], str]] = [
        (re.compile(pattern).search, buffer) for pattern, buffer in placed
    ]
    has_output = any(name == "output.weight" for name, _ in tensors)
    sums: dict[tuple[str, int | None], int] = {}
    for name, size in tensors:
        if has_output and name == "token_embd.weight":
            continue
        buffer = next((buffer for search, buffer in tests if search(name)), "")
        match = _LAYER.match(name)
        key = (buffer, int(match[1]) if match else None)
        sums[key] = sums.get(key, 0) + size
    return tuple((buffer, layer, size) for (buffer, layer), size in sums.items())


def _cache_of_a_layer(model: Architecture | None, serving: Serving) -> int | None:
    """Bytes of keys and values per layer, with cacheless and sliding-window layers averaged in. None if a type or the
    model's shape is unknown."""
    if model is None or not model.layers:
        return None
    keys, values = kv_bits(serving.kv_dtype, None), kv_bits(serving.kv_dtype_v, None)
    per_token, with_cache = values_per_token(model), layers_with_cache(model)
    if keys is None or values is None or per_token is None or with_cache is None:
        return None
    tokens = context_of(model, serving)
    window_tokens = tokens
    if model.window and not serving.whole_windows:
        # Each stream has its own window, or one cache holds the windows of all (llama-kv-cache-iswa).
        sequences = serving.sequences or 1
        streams = 1 if serving.unified else sequences
        windows = model.window * (sequences if serving.unified else 1) + (serving.micro_batch or 512)
        window_tokens = streams * min(-(-tokens // streams), -(-windows // CELLS) * CELLS)
    windowed = min(model.window_layers, with_cache)
    cells = (with_cache - windowed) * tokens + windowed * window_tokens
    key_width = per_token / 2
    value_width = key_width
    if model.value_head_dim and model.head_dim and not model.kv_lora_rank:
        value_width = key_width * model.value_head_dim / model.head_dim
    return int(cells * (key_width * keys + value_width * values) / 8 / model.layers)


def context_of(model: Architecture | None, serving: Serving) -> int:
    """Tokens of the context; 0 means the model's own."""
    if serving.context == 0:
        return (model.context if model else None) or DEFAULT_CONTEXT
    return serving.context or DEFAULT_CONTEXT
