"""How a service serves: parallel sizes and memory settings, whatever its backend calls them."""

from dataclasses import dataclass

from gputui.domain.rope import Rope


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a service's command line says, in terms that all backends share. `None` is not told, or cannot be told.

    `version` is that of the program. `world` is how many GPUs it needs in all, `None` where it takes what it is given;
    `used` are their places among those that it is given, where it does not take the first. `group` is whether they work
    on one request together, so that they have to be alike. `expert_split` is over how many GPUs experts are divided,
    `attention_split` over how many attention is, where that is not `tensor`.

    `context_fits`: it chooses the longest context for which there is memory. `positions` and `rope` are the model's, as
    an option changes them. `kv_dtype_v` is the type of values where it is not that of keys. `host_mib` of the weights
    of each GPU stay in the host's memory; `placed` are patterns of tensors with the buffer that they go to, and with
    `cache_on_host` keys and values stay there. `beside` is what it loads beside its model, in words.

    `decode` is over how many GPUs the tokens of a cache are divided. `unified`: its requests share one cache.

    `unread` names settings whose value cannot be told, `invalid` those with a value that no engine takes, in words.
    """

    tensor: int | None = 1
    pipeline: int | None = 1
    data: int | None = 1
    experts: int | None = None
    expert_split: int | None = None
    attention_split: int | None = None
    world: int | None = None
    used: tuple[int, ...] | None = None
    main_gpu: int = 0
    version: tuple[int, int, int] | None = None
    fraction: float | None = None
    fraction_given: bool = False
    fraction_known: bool = True
    kv_bytes: int | None = None
    context: int | None = None
    context_fits: bool = False
    positions: int | None = None
    rope: Rope | None = None
    sequences: int | None = None
    batch_tokens: int | None = None
    micro_batch: int | None = None
    dtype: str | None = None
    kv_dtype: str | None = None
    kv_dtype_v: str | None = None
    decode: int = 1
    whole_windows: bool = False
    whole_latent: bool = False
    cache_on_host: bool = False
    host_mib: int = 0
    placed: tuple[tuple[str, str], ...] = ()
    quantization: str | None = None
    gpu_layers: int | None = None
    split: tuple[float, ...] = ()
    by_rows: bool = False
    unified: bool = False
    flash_attention: bool = True
    language_only: bool = False
    vision_whole: bool = False
    beside: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()

    @property
    def group(self) -> bool:
        """Several GPUs that hold one model together."""
        return (self.tensor or 1) * (self.pipeline or 1) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """Where a serving program answers once it serves: a port inside the container, and a path.

    `proven`: the old container was seen to answer there, so the new one has to.
    """

    port: int
    path: str
    proven: bool = False
