"""How a service serves: parallel sizes and memory settings, whatever its backend calls them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """What a service's command line says, in terms that all backends share. `None` is not told, or cannot be told.

    `world` is how many GPUs it needs in all, `None` where it takes what it is given. `group` is whether those work on
    one request together, so that they have to be alike. `unread` names settings whose value cannot be told, `invalid`
    those with a value that no engine takes, in words.
    """

    tensor: int | None = 1
    pipeline: int | None = 1
    data: int | None = 1
    experts: int | None = None
    world: int | None = None
    fraction: float | None = None
    fraction_given: bool = False
    fraction_known: bool = True
    kv_bytes: int | None = None
    context: int | None = None
    sequences: int | None = None
    batch_tokens: int | None = None
    micro_batch: int | None = None
    dtype: str | None = None
    kv_dtype: str | None = None
    quantization: str | None = None
    gpu_layers: int | None = None
    split: tuple[float, ...] = ()
    flash_attention: bool = True
    language_only: bool = False
    unread: tuple[str, ...] = ()
    invalid: tuple[str, ...] = ()

    @property
    def group(self) -> bool:
        """Several GPUs that hold one model together."""
        return (self.tensor or 1) * (self.pipeline or 1) > 1
