"""How far a model is that loads, read from the log of its backend."""

import re
from collections.abc import Sequence

from gputui.domain.loading import Loading, Phase
from gputui.domain.outside import whole_number

# What each line says, as the programs write it: vLLM (model_loader, gpu_model_runner, api_server), SGLang
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
    """What the last line that tells anything says; None where no line does."""
    for line in reversed(lines):
        for pattern, phase in _RULES:
            match = pattern.search(line)
            if match:
                percent = whole_number(match[1]) if pattern.groups else None
                return Loading(phase, None if percent is None else min(100, percent))
    return None
