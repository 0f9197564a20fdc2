"""Which types of numbers a GPU computes with."""

from gputui.domain.gpu import Gpu
from gputui.domain.service import Service


def capability(gpu: Gpu) -> tuple[int, int] | None:
    """The compute capability as numbers."""
    major, _, minor = (gpu.compute_capability or "").partition(".")
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else None


def cannot_run(service: Service, gpu: Gpu) -> str | None:
    """Why this GPU cannot run the service's model, in words; None where it can, or nothing is known.

    bfloat16 needs compute capability 8.0 (vLLM: "Bfloat16 is only supported on GPUs with compute capability of at least
    8.0"); fp8 weights need 8.0, below 8.9 they are computed in 16 bits (Marlin kernels).
    """
    has = capability(gpu)
    if has is None:
        return None
    dtype, quantization = _types(service)
    if dtype in ("bfloat16", "bf16") and has < (8, 0):
        return f"bfloat16 needs compute capability 8.0; GPU {gpu.label} ({gpu.name}) has {gpu.compute_capability}"
    if quantization == "fp8" and has < (8, 0):
        return f"fp8 weights need compute capability 8.0; GPU {gpu.label} ({gpu.name}) has {gpu.compute_capability}"
    return None


def is_slow(service: Service, gpu: Gpu) -> str | None:
    """Why this GPU computes the service's model with less than its types promise; None where it does not."""
    has = capability(gpu)
    if has is None or _types(service)[1] != "fp8" or not (8, 0) <= has < (8, 9):
        return None
    return f"fp8 is computed in 16 bits below compute capability 8.9; GPU {gpu.label} has {gpu.compute_capability}"


def _types(service: Service) -> tuple[str | None, str | None]:
    """The type that it computes in, and its quantisation, by flags before the model's files. Engines that run on older
    GPUs by themselves in float16 (`auto` of vLLM does not, for a model in bfloat16)."""
    model = service.files.architecture if service.files else None
    dtype = service.serving.dtype
    if dtype in (None, "auto"):
        dtype = model.dtype if model and service.backend in ("vllm", "sglang", "tensorrt_llm") else None
    return dtype, service.serving.quantization or (model.quantization if model else None)
