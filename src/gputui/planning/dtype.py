"""Which types of numbers a GPU computes with."""

from gputui.domain.gpu import Gpu
from gputui.domain.outside import whole_number
from gputui.domain.service import Service


def capability(gpu: Gpu) -> tuple[int, int] | None:
    """The compute capability as numbers."""
    major, _, minor = (gpu.compute_capability or "").partition(".")
    numbers = (whole_number(major, least=0, most=999), whole_number(minor, least=0, most=999))
    return None if numbers[0] is None or numbers[1] is None else (numbers[0], numbers[1])


def cannot_run(service: Service, gpu: Gpu) -> str | None:
    """Why this GPU cannot run the service's model, in words; None where it can, or nothing is known.

    bfloat16 needs compute capability 8.0 (vLLM: "Bfloat16 is only supported on GPUs with compute capability of at least
    8.0"; releases since 2025 fall back to float16 unless bfloat16 is asked for, as `--dtype half` does in all). fp8
    weights need 8.0 too; below 8.9 they are computed in 16 bits (Marlin kernels).
    """
    has = capability(gpu)
    if has is None or has >= (8, 0):
        return None
    if service.serving.dtype in ("bfloat16", "bf16") or (service.backend == "vllm" and _is_bfloat16_by_itself(service)):
        return f"bfloat16 needs compute capability 8.0; GPU {gpu.label} ({gpu.name}) has {gpu.compute_capability}"
    if _quantization(service) == "fp8":
        return f"fp8 weights need compute capability 8.0; GPU {gpu.label} ({gpu.name}) has {gpu.compute_capability}"
    return None


def falls_back(service: Service, gpu: Gpu) -> str | None:
    """That a model in bfloat16 is computed in float16 here, in words; None where it is not."""
    has = capability(gpu)
    if has is None or has >= (8, 0) or not _is_bfloat16_by_itself(service):
        return None
    return f"its model is in bfloat16, which GPU {gpu.label} ({gpu.name}) has not: it is computed in float16"


def _is_bfloat16_by_itself(service: Service) -> bool:
    """The model's own type is bfloat16, and no flag names another."""
    model = service.files.architecture if service.files else None
    follows = service.backend in ("vllm", "sglang", "tensorrt_llm") and service.serving.dtype in (None, "auto")
    return follows and model is not None and model.dtype == "bfloat16"


def is_slow(service: Service, gpu: Gpu) -> str | None:
    """Why this GPU computes the service's model with less than its types promise; None where it does not."""
    has = capability(gpu)
    if has is None or _quantization(service) != "fp8" or not (8, 0) <= has < (8, 9):
        return None
    return f"fp8 is computed in 16 bits below compute capability 8.9; GPU {gpu.label} has {gpu.compute_capability}"


def _quantization(service: Service) -> str | None:
    """How the weights are quantised, by the flag before the model's files."""
    model = service.files.architecture if service.files else None
    return service.serving.quantization or (model.quantization if model else None)
