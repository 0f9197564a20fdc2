"""Which number types a GPU supports."""

from gputui.domain.gpu import Gpu
from gputui.domain.service import Service
from gputui.domain.text import whole_number
from gputui.planning.backends.backend import Capability
from gputui.planning.backends.registry import named

_FP8_CACHE = ("fp8", "fp8_e4m3")
_FALLS_BACK_SINCE = (0, 8, 0)
"""The vLLM version that computes a bfloat16 model in float16 if the GPU lacks bfloat16 (`_resolve_auto_dtype`)."""
_NEW_ENGINE = (0, 8, 0)
"""The vLLM version whose own attention kernels cannot convert a cache to fp8 below 8.9 (vllm#26431)."""


def capability(gpu: Gpu) -> Capability | None:
    """The compute capability as numbers."""
    major, _, minor = (gpu.compute_capability or "").partition(".")
    numbers = (whole_number(major, least=0, most=999), whole_number(minor, least=0, most=999))
    return None if numbers[0] is None or numbers[1] is None else (numbers[0], numbers[1])


def cannot_run(service: Service, gpu: Gpu) -> str | None:
    """Why this GPU cannot run the service's model, in words; None if it can, or nothing is known.

    bfloat16 needs compute capability 8.0 (vLLM: "Bfloat16 is only supported on GPUs with compute capability of at least
    8.0"; releases since 2025 fall back to float16 unless bfloat16 is requested, as `--dtype half` does in all). Each
    quantisation method has its own minimum.
    """
    gpu_capability = capability(gpu)
    if gpu_capability is None:
        return None
    detail = f"GPU {gpu.label} ({gpu.name}) has {gpu.compute_capability}"
    is_requested = service.serving.dtype in ("bfloat16", "bf16")
    version = service.serving.version
    refuses = service.backend == "vllm" and version is not None and version < _FALLS_BACK_SINCE
    if gpu_capability < (8, 0) and (is_requested or (refuses and _is_bfloat16_by_itself(service))):
        return f"bfloat16 needs compute capability 8.0; {detail}"
    method = quantization(service)
    least = least_capability(service, method)
    if least is not None and gpu_capability < least:
        return f"{method} weights need compute capability {least[0]}.{least[1]}; {detail}"
    if gpu_capability < (8, 9) and _keeps_fp8_without_kernels(service):
        return f"vLLM keeps keys and values in {service.serving.kv_dtype} from compute capability 8.9 only; {detail}"
    return None


def least_capability(service: Service, method: str | None) -> Capability | None:
    """The least compute capability for a quantisation method; for an unknown version, that of the newest."""
    version = service.serving.version
    rules = named(service.backend).least_capabilities.get(method or "", ())
    return next((least for since, least in rules if version is None or version >= since), None)


def _keeps_fp8_without_kernels(service: Service) -> bool:
    """An fp8 cache with vLLM's default attention kernels; FlashInfer supports it."""
    serving = service.serving
    if service.backend != "vllm" or (serving.kv_dtype or "") not in _FP8_CACHE:
        return False
    if serving.version is None or serving.version < _NEW_ENGINE:
        return False
    environment = service.launch.environment
    words = " ".join(service.launch.words).upper()
    return (
        environment.get("VLLM_USE_V1") != "0"
        and environment.get("VLLM_ATTENTION_BACKEND", "").upper() != "FLASHINFER"
        and "FLASHINFER" not in words
    )


def falls_back(service: Service, gpu: Gpu) -> str | None:
    """A message that a bfloat16 model is computed in float16 here; None if it is not."""
    gpu_capability = capability(gpu)
    if gpu_capability is None or gpu_capability >= (8, 0) or not _is_bfloat16_by_itself(service):
        return None
    return f"its model is in bfloat16, which GPU {gpu.label} ({gpu.name}) has not: it is computed in float16"


def _is_bfloat16_by_itself(service: Service) -> bool:
    """Whether the model's own type is bfloat16, and no flag sets another."""
    model = service.files.architecture if service.files else None
    follows = named(service.backend).follows_model_dtype and service.serving.dtype in (None, "auto")
    return follows and model is not None and model.dtype == "bfloat16"


def is_slow(service: Service, gpu: Gpu) -> str | None:
    """Why this GPU runs the service's model slower than its types promise; None if it does not."""
    gpu_capability = capability(gpu)
    if gpu_capability is None or quantization(service) != "fp8" or not (7, 5) <= gpu_capability < (8, 9):
        return None
    return f"fp8 is computed in 16 bits below compute capability 8.9; GPU {gpu.label} has {gpu.compute_capability}"


def quantization(service: Service) -> str | None:
    """The quantisation method of the weights; the model's files take precedence over the flag, which may use another
    name."""
    model = service.files.architecture if service.files else None
    if model is not None and model.quantization is not None:
        return model.quantization
    flag = (service.serving.quantization or "").lower()
    return {"awq_marlin": "awq", "gptq_marlin": "gptq", "modelopt": "fp8", "compressed-tensors": None}.get(
        flag, flag or None
    )
