"""Serving settings of a service: parallel sizes and memory settings, independent of its backend."""

from dataclasses import dataclass

from gputui.domain.rope import Rope


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """The settings on a service's command line, in terms that all backends share. `None`: unspecified, or unknown.

    `version` is that of the program. `world` is the total number of GPUs that it needs, `None` if it takes all that it
    gets; `used` are the indices of those that it uses, if these are not the first. `group`: they work on each request
    together, so they have to be alike. `expert_split` is the number of GPUs that experts are divided over,
    `attention_split` the same for attention, if it is not `tensor`.

    `context_fits`: it chooses the longest context that fits into memory. `positions` and `rope` are the model's, as
    changed by options. `kv_dtype_v` is the type of values if it differs from that of keys. `host_mib` of the weights of
    each GPU stay in host memory; `placed` are patterns of tensors with their buffer, and with `cache_on_host` the KV
    cache stays in host memory. `beside` describes what it loads in addition to its model.

    `decode` is the number of GPUs that the tokens of a cache are divided over. `unified`: its requests share one cache.

    `unread` names settings with an unknown value, `invalid` describes those with a value that no engine accepts.
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
        """Whether several GPUs hold one model together."""
        return (self.tensor or 1) * (self.pipeline or 1) > 1


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpProbe:
    """Where a serving program answers once it serves: a port inside the container, and a path.

    `proven`: the old container was seen to answer there, so the new one has to.
    """

    port: int
    path: str
    proven: bool = False
