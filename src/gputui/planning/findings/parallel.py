"""Whether a service's parallel sizes suit its model and its GPUs."""

import re
from collections.abc import Sequence

from gputui.domain.finding import Finding, Severity
from gputui.domain.gpu import Gpu, labels_by_uuid
from gputui.domain.memory import GpuMemory
from gputui.domain.model import Architecture
from gputui.domain.service import Edit, Service
from gputui.domain.units import gib
from gputui.planning.arguments import command_line
from gputui.planning.backends.registry import is_official, named
from gputui.planning.findings.about import about, either
from gputui.planning.needs.dtype import cannot_run, capability, falls_back, is_slow
from gputui.planning.needs.model_memory import model_context
from gputui.planning.needs.widths import cuts_vision, group_fault, tile_fault
from gputui.planning.placement.problem import EVEN


def unsuitable(services: Sequence[Service], gpus: Sequence[Gpu], memory: Sequence[GpuMemory]) -> list[Finding]:
    """All of it, for every service that is to run on GPUs."""
    by_uuid = {gpu.uuid: gpu for gpu in gpus}
    found: list[Finding] = []
    for service in services:
        own = [by_uuid[uuid] for uuid in service.assigned if uuid in by_uuid]
        if not service.enabled or not own:
            continue
        judged = options(service) + number_of_gpus(service, own)
        if service.files is not None and service.files.architecture is not None:
            judged += sizes(service, service.files.architecture)
            judged += tiles(service, service.files.architecture, own)
        judged += alike(service, own) + types(service, own) + unread_variables(service)
        judged += not_counted(service) + by_version(service)
        if service.serving.group and service.backend != "llama_cpp":
            judged += even_memory(service, own, memory)
        proven = has_proved_itself(service)
        found += [one for one in judged if not proven or one.severity != "error"]
    return found


def has_proved_itself(service: Service) -> bool:
    """It runs as it is assigned, and holds memory on all its GPUs: no rule that we know can say that it cannot."""
    as_it_is = service.container is not None and service.launch.words == service.container.launch.words
    on_its_gpus = bool(service.running_on) and set(service.running_on) == set(service.assigned)
    return service.running and as_it_is and on_its_gpus and service.requested == service.assigned


def options(service: Service) -> list[Finding]:
    """Values that no engine takes, and values that cannot be told."""
    found = [
        about(service, "bad-option", "error", f"{service.name}: {text}", "change it in its command")
        for text in service.serving.invalid
    ]
    if service.serving.unread:
        names = ", ".join(service.serving.unread)
        text = f"{service.name}: the value of {names} cannot be told from its command, so it is not checked"
        found.append(about(service, "option-unread", "info", text, "write it out in the command"))
    return found


def _world(service: Service) -> str:
    how = service.serving
    parts = ((how.tensor, "tensor"), (how.pipeline, "pipeline"), (how.data, "data"))
    named_parts = [f"{size} {name}" for size, name in parts if size and size > 1]
    return f" ({' × '.join(named_parts)} parallel)" if named_parts else ""


def number_of_gpus(service: Service, own: Sequence[Gpu]) -> list[Finding]:
    """As many GPUs as the flags make it use: fewer make it fail, more idle."""
    world, has = service.serving.world, len(own)
    if world is None or world == has:
        return []
    labels = ",".join(gpu.label for gpu in own)
    edit = _tensor_edit(service, has)
    change = f", or set {edit.argument} {edit.value}" if edit else ""
    edits = (edit,) if edit else ()
    if world > has:
        text = f"{service.name} needs {world} GPUs{_world(service)}, but has {has} ({labels})"
        fix = f"assign it {world} GPUs{change}"
        return [about(service, "too-few-gpus", "error", text, fix, own[0].uuid, edits=edits)]
    if service.backend in ("pytorch", "generic") and world == 1:
        return []
    used = service.serving.used
    left = own[world:] if used is None else [gpu for place, gpu in enumerate(own) if place not in used]
    if not left:
        return []
    idle = ",".join(gpu.label for gpu in left)
    text = f"{service.name} uses {world} of its {has} GPUs{_world(service)}: GPU {idle} would idle"
    if used is not None and any(place >= len(own) for place in used):
        text = f"{service.name} is to use its GPU number {max(used)}, counted from 0, but has {has} ({labels})"
        return [about(service, "too-few-gpus", "error", text, "name one that it has", own[0].uuid)]
    if used is not None and used != tuple(range(world)):
        change = ", and count those that stay from 0 in --main-gpu and --device"
    return [about(service, "idle-gpus", "warning", text, f"take {idle} away{change}", left[0].uuid, edits=edits)]


def _tensor_edit(service: Service, gpus: int) -> Edit | None:
    """The tensor-parallel size that uses this many GPUs, where there is one that the model allows."""
    how, flag = service.serving, named(service.backend).tensor_flag
    besides = (how.world or 1) // max(1, how.tensor or 1)
    if not flag or how.world is None or gpus % besides:
        return None
    size = gpus // besides
    model = service.files.architecture if service.files else None
    if size < 1 or (model is not None and model.heads and model.heads % size):
        return None
    return Edit(argument=flag, value=str(size), reason=f"it has {gpus} GPUs")


def sizes(service: Service, model: Architecture) -> list[Finding]:
    """What the model's shape demands of the parallel sizes."""
    how = service.serving
    tensor, pipeline = how.tensor or 1, how.pipeline or 1
    attention = how.attention_split or tensor
    name, flag = service.name, named(service.backend).tensor_flag
    found = []
    if model.heads and attention > 1 and model.heads % attention:
        text = f"{name}: its {model.heads} attention heads cannot be divided by tensor parallel size {attention}"
        found.append(about(service, "heads", "error", text, _fitting_sizes(flag, model)))
    elif model.kv_heads and attention > 1 and not model.kv_lora_rank:
        kv = model.kv_heads
        if (kv >= attention and kv % attention) or (attention > kv and attention % kv):
            text = f"{name}: its {kv} key-value heads and tensor parallel size {attention} do not divide each other"
            found.append(about(service, "kv-heads", "error", text, _fitting_sizes(flag, model)))
        elif attention > kv:
            text = (
                f"{name}: its {kv} key-value heads are kept {attention // kv} times over at tensor parallel size "
                f"{attention}"
            )
            fix = f"{flag} {kv} needs as much cache on each GPU"
            found.append(about(service, "kv-heads-copied", "info", text, fix))
    if model.vision_heads and tensor > 1 and model.vision_heads % tensor and cuts_vision(service, model):
        text = f"{name}: the {model.vision_heads} heads of its vision part cannot be divided by {tensor}"
        found.append(about(service, "vision-heads", "error", text, _fitting_sizes(flag, model)))
    if model.layers and pipeline > model.layers:
        text = f"{name}: pipeline parallel size {pipeline} is more than its {model.layers} layers"
        found.append(about(service, "pipeline", "error", text, f"at most {model.layers}"))
    if (how.experts or 1) > 1 and not model.experts and not model.may_have_experts:
        text = f"{name}: expert parallelism is asked for, but {model.name or 'its model'} has no experts"
        found.append(about(service, "no-experts", "error", text, "take the option away"))
    grouped = group_fault(model, how, service.backend)
    if grouped is not None:
        spread = f", or {_EXPERTS[service.backend]}" if "experts" in grouped and service.backend in _EXPERTS else ""
        found.append(
            about(service, "quantization-group", "error", f"{name}: {grouped}", f"choose a smaller {flag}{spread}")
        )
    if model.vocabulary and tensor > 1 and model.vocabulary % tensor:
        text = f"{name}: its vocabulary of {model.vocabulary} cannot be divided by {tensor}, and is filled up"
        found.append(about(service, "vocabulary", "info", text, "nothing has to be done"))
    if service.backend == "vllm" and (how.data or 1) > 1 and not model.experts:
        text = f"{name}: {how.data} data parallel copies of a model without experts are as many services in one"
        found.append(about(service, "data-parallel", "info", text, "services of their own can be moved one by one"))
    longest = model_context(model, how, keeps_original=service.backend == "sglang")
    if longest and how.context and how.context > longest and service.backend != "llama_cpp":
        text = f"{name}: a context of {how.context} tokens is longer than the {longest} of its model"
        fix = f"{named(service.backend).context_flag} {longest}"
        found.append(about(service, "context-too-long", _too_long(service), text, fix))
    return found


_EXPERTS = {"vllm": "set --enable-expert-parallel", "sglang": "raise --ep-size"}
_LONGER_ALLOWED = {"vllm": "VLLM_ALLOW_LONG_MAX_MODEL_LEN", "sglang": "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"}
"""Variables with which an engine takes a longer context than its model has."""


def _too_long(service: Service) -> Severity:
    variable = _LONGER_ALLOWED.get(service.backend)
    if variable is None:
        return "warning"
    return "warning" if service.launch.environment.get(variable, "").lower() in ("1", "true") else "error"


def tiles(service: Service, model: Architecture, own: Sequence[Gpu]) -> list[Finding]:
    """Widths that the kernels of an older GPU refuse."""
    known = [has for gpu in own if (has := capability(gpu)) is not None]
    if not known or service.backend not in ("vllm", "sglang"):
        return []
    fault = tile_fault(model, service.serving, min(known))
    if fault is None:
        return []
    fix = f"choose another {named(service.backend).tensor_flag}, or assign it GPUs from 8.9 on"
    return [about(service, "kernel-tiles", "error", f"{service.name}: {fault}", fix, own[0].uuid)]


_READ_BY_NOBODY = re.compile(
    r"(TENSOR_PARALLEL|PIPELINE_PARALLEL|DATA_PARALLEL)(_SIZE)?|[TPD]P(_SIZE)?|GPU_MEMORY_UTIL(IZATION)?"
    r"|MAX_MODEL_LEN|MAX_NUM_SEQS|KV_CACHE_DTYPE|DTYPE|QUANTIZATION|MODEL|MODEL_ID|MODEL_NAME"
)
"""Variables that look as if they set an option of vLLM or SGLang; neither reads any of them."""


def unread_variables(service: Service) -> list[Finding]:
    """Variables of a file that the server's own program does not read; a script of somebody's own may."""
    if service.backend not in ("vllm", "sglang") or not is_official(service.backend, service.image):
        return []
    words = " ".join(service.launch.words)
    if command_line(service.launch.words, service.launch.environment).opaque:
        return []
    names = [
        name
        for name in service.launch.environment
        if _READ_BY_NOBODY.fullmatch(name)
        and not re.search(rf"\$\{{?{name}\b", words)
        # Compose may have put its value into the command.
        and service.launch.environment[name] not in service.launch.words
    ]
    if not names:
        return []
    text = f"{service.name}: {service.backend} does not read {', '.join(names)}, so that it does nothing"
    return [about(service, "variable-unread", "warning", text, "write it as an option of its command")]


def not_counted(service: Service) -> list[Finding]:
    """What a figure leaves out, because its size is not known."""
    left_out = service.requirement.not_counted
    if not left_out:
        return []
    text = f"{service.name}: what it needs is more than is told: {', '.join(left_out)} not counted"
    return [about(service, "not-counted", "info", text, "leave room for it; once it has run, what it took is known")]


def by_version(service: Service) -> list[Finding]:
    """A figure that holds for newer versions only, where the image does not tell its own."""
    model = service.files.architecture if service.files else None
    if service.backend != "vllm" or service.serving.version is not None or model is None:
        return []
    if service.requirement.source != "weights" or not (model.kv_lora_rank or model.window_layers):
        return []
    text = f"{service.name}: its image does not tell the version of vLLM; its cache is counted as since 0.8.5"
    return [
        about(service, "version-unknown", "info", text, "an older version keeps more: name the image by its version")
    ]


def _fitting_sizes(flag: str, model: Architecture) -> str:
    """The tensor-parallel sizes that suit all of a model's heads."""
    heads, kv = model.heads or 1, model.kv_heads or 1
    sizes = [
        str(size)
        for size in range(1, 17)
        if heads % size == 0
        and (model.kv_lora_rank or kv % size == 0 or (size > kv and size % kv == 0))
        and (not model.vision_heads or model.vision_heads % size == 0)
    ]
    return f"{flag} {either(sizes)}"


def alike(service: Service, own: Sequence[Gpu]) -> list[Finding]:
    """Whether GPUs that work together are alike, and reach each other fast."""
    if len(own) < 2:
        return []
    labels = ",".join(gpu.label for gpu in own)
    instances = [gpu for gpu in own if gpu.mig_index is not None]
    if instances:
        text = f"{service.name} has {len(own)} GPUs ({labels}), but one process can use a single MIG instance only"
        return [
            about(service, "mig-in-group", "refusal", text, "assign it one instance, or whole GPUs", instances[0].uuid)
        ]
    if not service.serving.group:
        return []
    found = []
    names = sorted({f"{gpu.name} {gib(gpu.memory_total_mib)}" for gpu in own})
    if len(names) > 1:
        text = f"{service.name} works on different GPUs together ({labels}: {', '.join(names)}); the slowest decides"
        found.append(about(service, "mixed-gpus", "warning", text, "assign it GPUs of one kind", own[0].uuid))
    islands = sorted({gpu.island for gpu in own if gpu.island is not None})
    if len(islands) > 1:
        text = f"{service.name} works together on GPUs {labels} that are not linked fast ({', '.join(islands)})"
        found.append(about(service, "across-islands", "warning", text, "assign it GPUs of one island", own[0].uuid))
    return found


def types(service: Service, own: Sequence[Gpu]) -> list[Finding]:
    """Whether its GPUs compute with the model's types."""
    found = []
    for gpu in own:
        cannot, slow, other = cannot_run(service, gpu), is_slow(service, gpu), falls_back(service, gpu)
        if cannot:
            half = Edit(argument="--dtype", value="half", reason="its GPU has no bfloat16")
            edits = (half,) if cannot.startswith("bfloat16") else ()
            fix = "assign it a newer GPU" + (", or set --dtype half" if edits else "")
            found.append(about(service, "dtype", "error", f"{service.name}: {cannot}", fix, gpu.uuid, edits=edits))
        elif other:
            fix = "assign it a newer GPU"
            found.append(about(service, "dtype-fallback", "warning", f"{service.name}: {other}", fix, gpu.uuid))
        elif slow:
            fix = "a newer GPU is faster"
            found.append(about(service, "dtype-emulated", "warning", f"{service.name}: {slow}", fix, gpu.uuid))
    return found[:1]


def even_memory(service: Service, own: Sequence[Gpu], memory: Sequence[GpuMemory]) -> list[Finding]:
    """GPUs of a group should have about equal free memory before it starts: SGLang insists on it, elsewhere the fullest
    decides how much cache all of them get."""
    if service.launch.environment.get("SGLANG_ENABLE_TP_MEMORY_INBALANCE_CHECK") in ("0", "false", "False"):
        return []
    free = {}
    for one in memory:
        if one.usable_mib is not None and one.uuid in service.assigned:
            others = sum(
                part.mib or 0
                for part in one.shares
                if part.kind in ("foreign", "service", "expected", "planned") and part.name != service.name
            )
            free[one.uuid] = max(0, one.usable_mib - others)
    if len(free) < 2:
        return []
    least, most = min(free, key=lambda uuid: free[uuid]), max(free, key=lambda uuid: free[uuid])
    if free[least] >= EVEN * free[most]:
        return []
    labels = labels_by_uuid(own)
    text = (
        f"{service.name}: GPU {labels[least]} has {gib(free[least])} GiB free and GPU {labels[most]} "
        f"{gib(free[most])}; "
    )
    fix = "assign it GPUs with equal free memory"
    if service.backend == "sglang":
        text += "SGLang refuses groups whose free memory differs by more than a tenth"
        return [about(service, "uneven-memory", "error", text, fix, least)]
    return [about(service, "uneven-memory", "warning", f"{text}the fuller one decides for both", fix, least)]
