"""A model on disk: a directory in the Hugging Face layout, GGUF files, or TensorRT engines."""

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from gputui.domain.model import Architecture, ModelFiles
from gputui.domain.text import clean, whole_number
from gputui.models.gguf_header import GgufHeader, Value, read_header
from gputui.models.header_file import BadFile, Tensor, UnknownKind, open_regular
from gputui.models.model_config import read_config, read_object
from gputui.models.safetensors_header import read_tensors

LONGEST_INDEX = 25 * 2**20
MOST_FILES = 5000
MOST_LAYERS = 100_000

_EMBEDDING = re.compile(r"(embed_tokens|lm_head|\bwte\b|word_embeddings|token_embd|^output\.weight)")
_EXPERT = re.compile(r"\.experts?\.|_exps\.")
_NOT_LINEAR = re.compile(r"norm|\.gate\.weight$|router|conv")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")

_TOKENIZERS = (
    "tokenizer.json", "tokenizer.model", "tekken.json", "tiktoken.model", "spiece.model", "sentencepiece.bpe.model",
    "vocab.txt", "vocab.json", "tokenizer.model.v3",
)  # fmt: skip
SMALLEST_TOKENIZER = 16
"""Bytes; a smaller file, such as `{}`, is a placeholder and not a tokenizer."""


def read_model(path: Path) -> ModelFiles:
    """The model at `path`: a directory, or a single GGUF or safetensors file."""
    display_path = clean(str(path), 300)
    try:
        if path.is_dir():
            return _directory(path, display_path)
        if not path.exists():
            return ModelFiles(path=display_path, problems=(f"{display_path} does not exist",))
        kind = _kind_of(path)
        if kind == "gguf":
            return _gguf(path, display_path)
        if kind == "safetensors":
            return _weighed(ModelFiles(path=display_path, has_weights=True), read_tensors(path))
        return ModelFiles(
            path=display_path, has_weights=True, unread=f"{display_path} is of a kind that gputui cannot read"
        )
    except BadFile as error:
        return ModelFiles(path=display_path, has_weights=True, problems=(error.what,))
    except UnknownKind as error:
        return ModelFiles(path=display_path, has_weights=True, unread=error.what)
    except OSError as error:
        return ModelFiles(path=display_path, unread=_cannot(path.name, error))


def _cannot(name: str, error: OSError) -> str:
    return f"{clean(name, 80)} cannot be read: {clean(error.strerror or '', 60)}"


def _kind_of(path: Path) -> str | None:
    """The format by the first bytes, because names are not reliable (Ollama blobs have no suffix); else by suffix."""
    with open_regular(path) as file:
        head, length = file.read(9), os.fstat(file.fileno()).st_size
    if head[:4] == b"GGUF":
        return "gguf"
    if len(head) == 9 and head[8:] == b"{" and int.from_bytes(head[:8], "little") < length:
        return "safetensors"
    by_ending = path.suffix.lower().removeprefix(".")
    return by_ending if by_ending in ("gguf", "safetensors") else None


def _directory(path: Path, display_path: str) -> ModelFiles:
    files = {file.name: file for file in islice(path.iterdir(), MOST_FILES)}
    problems: list[str] = []
    architecture = _architecture(files, problems)
    ggufs = sorted(name for name in files if name.lower().endswith(".gguf") and "mmproj" not in name)
    if ggufs and not any(name.endswith(".safetensors") for name in files):
        if len({_SHARD.sub("", name) for name in ggufs}) > 1:
            return ModelFiles(path=display_path, has_weights=True, unread=f"{display_path} holds several GGUF models")
        return replace(_gguf(files[ggufs[0]], display_path), path=display_path)
    engines = [name for name in files if name.endswith(".engine")]
    if engines:
        # TensorRT engines, one per rank: they consist almost entirely of weights, and need no tokenizer beside them.
        size = sum(_size(files[name]) for name in engines)
        return ModelFiles(path=display_path, has_weights=True, weights_bytes=size)
    has_tokenizer = any(
        (name in _TOKENIZERS or name.endswith(".tiktoken")) and _size(file) >= SMALLEST_TOKENIZER
        for name, file in files.items()
    )
    model = ModelFiles(path=display_path, architecture=architecture, has_tokenizer=has_tokenizer)
    try:
        tensors, has_weights = _tensors(files, problems)
    except OSError as error:
        return replace(model, has_weights=True, unread=_cannot(Path(error.filename or "").name, error))
    model = replace(model, has_weights=has_weights, problems=tuple(problems))
    if tensors:
        return _weighed(model, tensors)
    pickles = [name for name in files if re.fullmatch(r"pytorch_model.*\.bin", name)]
    if pickles and not has_weights:
        # A pickle stores tensors uncompressed, with little overhead.
        return replace(model, has_weights=True, weights_bytes=sum(_size(files[name]) for name in pickles))
    return model


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _architecture(files: Mapping[str, Path], problems: list[str]) -> Architecture | None:
    if "config.json" not in files:
        return None
    try:
        return read_config(files["config.json"])
    except BadFile as error:
        problems.append(error.what)
    except OSError:
        pass  # unknown if this user may not read it
    return None


def _tensors(files: Mapping[str, Path], problems: list[str]) -> tuple[list[Tensor], bool]:
    """The tensors of all weight files of the model, and whether there are any such files."""
    index = "model.safetensors.index.json"
    if index in files:
        names = _indexed(files[index], problems)
    elif "model.safetensors" in files:
        names = ["model.safetensors"]
    else:
        # Some models ship the same weights again as consolidated*.safetensors; adapters are not complete weights.
        names = sorted(name for name in files if name.endswith(".safetensors") and not name.startswith("adapter_"))
        names = [name for name in names if not name.startswith("consolidated")] or names
    tensors: list[Tensor] = []
    missing = [name for name in names if name not in files]
    if missing:
        problems.append(
            f"{len(missing)} of {len(names)} weight files are missing, the first is {clean(missing[0], 80)}"
        )
        return [], bool(set(names) & set(files))
    for name in names:
        try:
            tensors += read_tensors(files[name])
        except BadFile as error:
            problems.append(error.what)
            return [], True
    return tensors, bool(names)


def _indexed(path: Path, problems: list[str]) -> list[str]:
    try:
        weight_map = read_object(path, LONGEST_INDEX).get("weight_map")
    except BadFile as error:
        problems.append(error.what)
        return []
    if not isinstance(weight_map, Mapping) or not weight_map:
        problems.append(f"{path.name} names no weight files")
        return []
    names = sorted({str(name) for name in weight_map.values()})
    # A name that contains a path would leave the model's directory.
    if any("/" in name or len(name) > 255 for name in names) or len(names) > MOST_FILES:
        problems.append(f"{path.name} names files outside of the model")
        return []
    return names


def _weighed(model: ModelFiles, tensors: Sequence[Tensor]) -> ModelFiles:
    by_dtype: Counter[str] = Counter()
    embedding = experts = linear = 0
    for tensor in tensors:
        by_dtype[tensor.dtype] += tensor.size
        if _EMBEDDING.search(tensor.name):
            embedding += tensor.size
            continue
        if _EXPERT.search(tensor.name):
            experts += tensor.size
        if tensor.rank >= 2 and tensor.dtype in ("BF16", "F16") and not _NOT_LINEAR.search(tensor.name):
            linear += tensor.size
    return replace(
        model,
        weights_bytes=sum(tensor.size for tensor in tensors),
        embedding_bytes=embedding,
        expert_bytes=experts,
        linear_bytes=linear,
        parameters=sum(tensor.elements for tensor in tensors),
        bytes_by_dtype=dict(by_dtype),
    )


def _gguf(path: Path, display_path: str) -> ModelFiles:
    header = read_header(path)
    tensors = list(header.tensors)
    shard = _SHARD.search(path.name)
    problems: list[str] = []
    for number in range(1, int(shard[2]) + 1 if shard else 0):
        shard_path = path.with_name(f"{path.name[: shard.start()]}-{number:05d}-of-{shard[2]}.gguf") if shard else path
        if shard_path == path:
            continue
        try:
            tensors += read_header(shard_path).tensors
        except FileNotFoundError:
            problems.append(f"{clean(shard_path.name, 80)} is missing")
            break
        except BadFile as error:
            problems.append(error.what)
            break
    model = ModelFiles(
        path=display_path,
        architecture=_gguf_architecture(header),
        has_tokenizer="tokenizer.ggml.tokens" in header.sizes,
        has_weights=True,
        problems=tuple(problems),
    )
    tensor_sizes = tuple((tensor.name, tensor.size) for tensor in tensors)
    return model if problems else replace(_weighed(model, tensors), tensors=tensor_sizes)


def _gguf_architecture(header: GgufHeader) -> Architecture:
    values = header.values
    name = values.get("general.architecture")
    prefix = f"{name}." if isinstance(name, str) else ""

    def count(key: str) -> int | None:
        return _count(values.get(prefix + key))

    layers, heads, hidden = count("block_count"), count("attention.head_count"), count("embedding_length")
    layers = layers if layers is not None and layers <= MOST_LAYERS else None
    head_dim = count("attention.key_length")
    if head_dim is None and heads and hidden:
        head_dim = hidden // heads
    kv_head_counts = values.get(prefix + "attention.head_count_kv")
    interval = count("full_attention_interval")
    attention = sum(kv_heads > 0 for kv_heads in kv_head_counts) if isinstance(kv_head_counts, tuple) else layers
    if interval and layers:
        attention = layers // interval
    latent = count("attention.key_length_mla") is not None or str(name) != "deepseek2"
    window = count("attention.sliding_window")
    windowed = _window_layers(str(name), values.get(prefix + "attention.sliding_window_pattern"), layers or 0)
    return Architecture(
        name=name if isinstance(name, str) else None,
        layers=layers,
        heads=heads,
        kv_heads=count("attention.head_count_kv") or heads,
        head_dim=head_dim,
        hidden=hidden,
        intermediate=count("feed_forward_length"),
        vocabulary=header.sizes.get("tokenizer.ggml.tokens"),
        context=count("context_length"),
        positions=count("context_length"),
        experts=count("expert_count") or None,
        # Older files have the rank of latent attention but not its widths: there keys and values are stored in full.
        kv_lora_rank=count("attention.kv_lora_rank") if latent else None,
        rope_head_dim=count("rope.dimension_count") if latent else None,
        value_head_dim=count("attention.value_length"),
        window=window if window and windowed else None,
        window_layers=windowed if window else 0,
        # A layer without KV heads has no KV cache.
        attention_layers=attention,
    )


_WINDOW_PATTERNS = {
    "gemma2": 2, "gpt-oss": 2, "cohere2": 4, "olmo2": 4, "exaone4": 4, "exaone-moe": 4, "afmoe": 4, "llama4": 4,
    "gemma3n": 5, "gemma3": 6, "gemma-embedding": 6, "plamo3": 8,
}  # fmt: skip
"""Every nth layer has full attention (llama.cpp, `set_swa_pattern` of each architecture)."""


def _window_layers(architecture: str, pattern: Value | None, layers: int) -> int:
    """The number of layers with a window: layer i where i % n < n - 1. A file may specify n, or a flag per layer."""
    if isinstance(pattern, tuple):
        return min(layers, sum(bool(flag) for flag in pattern))
    period = whole_number(pattern, least=1, most=layers or 1) or _WINDOW_PATTERNS.get(architecture)
    return 0 if period is None else sum(number % period < period - 1 for number in range(layers))


def _count(value: Value | None) -> int | None:
    """A positive integer, or the largest of one per layer."""
    if isinstance(value, tuple):
        value = max(value, default=None)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31:
        return None
    return value
