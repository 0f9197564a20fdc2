"""Whether a service's parallel sizes suit its model and its GPUs."""

import re
from collections.abc import Sequence

from gputui.domain.finding import Finding, Severity
from gputui.domain.gpu import Gpu, labels_by_uuid
from gputui.domain.memory import GpuMemory
from gputui.domain.model import Architecture
from gputui.domain.service import Edit, Service
from gputui.domain.units import gib
from gputui.planning.backends.registry import is_official, named
from gputui.planning.command_options import command_line
from gputui.planning.findings.about import about, either
from gputui.planning.needs.dtype import cannot_run, capability, falls_back, is_slow
from gputui.planning.needs.model_memory import model_context
from gputui.planning.needs.widths import cuts_vision, group_fault, tile_fault
from gputui.planning.placement.problem import EVEN


def unsuitable(services: Sequence[Service], gpus: Sequence[Gpu], memory: Sequence[GpuMemory]) -> list[Finding]:
    """All these findings, for every service that is to run on GPUs."""
    by_uuid = {gpu.uuid: gpu for gpu in gpus}
    findings: list[Finding] = []
    for service in services:
        assigned = [by_uuid[uuid] for uuid in service.assigned if uuid in by_uuid]
        if not service.enabled or not assigned:
            continue
        judged = options(service) + number_of_gpus(service, assigned)
        if service.files is not None and service.files.architecture is not None:
            judged += sizes(service, service.files.architecture)
            judged += tiles(service, service.files.architecture, assigned)
        judged += alike(service, assigned) + types(service, assigned) + unread_variables(service)
        judged += not_counted(service) + by_version(service)
        if service.serving.group and not named(service.backend).mixes_gpus:
            judged += even_memory(service, assigned, memory)
        proven = has_proved_itself(service)
        findings += [finding for finding in judged if not proven or finding.severity != "error"]
    return findings


def has_proved_itself(service: Service) -> bool:
    """Whether it runs as assigned and holds memory on all its GPUs: then no rule can claim that it cannot."""
    as_it_is = service.container is not None and service.launch.words == service.container.launch.words
    on_its_gpus = bool(service.running_on) and set(service.running_on) == set(service.assigned)
    return service.running and as_it_is and on_its_gpus and service.requested == service.assigned


def options(service: Service) -> list[Finding]:
    """Values that no engine accepts, and values that cannot be determined."""
    findings = [
        about(service, "bad-option", "error", f"{service.name}: {text}", "change it in its command")
        for text in service.serving.invalid
    ]
    if service.serving.unread:
        names = ", ".join(service.serving.unread)
        text = f"{service.name}: the value of {names} cannot be determined from its command, so it is not checked"
        findings.append(about(service, "option-unread", "info", text, "write it out in the command"))
    return findings


def _world(service: Service) -> str:
    serving = service.serving
    parts = ((serving.tensor, "tensor"), (serving.pipeline, "pipeline"), (serving.data, "data"))
    named_parts = [f"{size} {name}" for size, name in parts if size and size > 1]
    return f" ({' × '.join(named_parts)} parallel)" if named_parts else ""


def number_of_gpus(service: Service, assigned: Sequence[Gpu]) -> list[Finding]:
    """As many GPUs as its flags make it use: with fewer it fails, more are idle."""
    world, count = service.serving.world, len(assigned)
    if world is None or world == count:
        return []
    labels = ",".join(gpu.label for gpu in assigned)
    edit = _tensor_edit(service, count)
    change = f", or set {edit.argument} {edit.value}" if edit else ""
    edits = (edit,) if edit else ()
    if world > count:
        text = f"{service.name} needs {world} GPUs{_world(service)}, but has {count} ({labels})"
        fix = f"assign it {world} GPUs{change}"
        return [about(service, "too-few-gpus", "error", text, fix, assigned[0].uuid, edits=edits)]
    if service.backend in ("pytorch", "generic") and world == 1:
        return []
    used = service.serving.used
    idle_gpus = assigned[world:] if used is None else [gpu for place, gpu in enumerate(assigned) if place not in used]
    if not idle_gpus:
        return []
    idle = ",".join(gpu.label for gpu in idle_gpus)
    text = f"{service.name} uses {world} of its {count} GPUs{_world(service)}: GPU {idle} would be idle"
    if used is not None and any(place >= len(assigned) for place in used):
        text = f"{service.name} uses its GPU number {max(used)}, counted from 0, but has {count} ({labels})"
        return [about(service, "too-few-gpus", "error", text, "name one that it has", assigned[0].uuid)]
    if used is not None and used != tuple(range(world)):
        change = ", and count the remaining ones from 0 in --main-gpu and --device"
    return [about(service, "idle-gpus", "warning", text, f"take {idle} away{change}", idle_gpus[0].uuid, edits=edits)]


def _tensor_edit(service: Service, gpus: int) -> Edit | None:
    """The tensor-parallel size that uses this many GPUs, if the model allows one."""
    serving, flag = service.serving, named(service.backend).tensor_flag
    besides = (serving.world or 1) // max(1, serving.tensor or 1)
    if not flag or serving.world is None or gpus % besides:
        return None
    size = gpus // besides
    model = service.files.architecture if service.files else None
    if size < 1 or (model is not None and model.heads and model.heads % size):
        return None
    return Edit(argument=flag, value=str(size), reason=f"it has {gpus} GPUs")


def sizes(service: Service, model: Architecture) -> list[Finding]:
    """What the model's shape requires of the parallel sizes."""
    serving = service.serving
    tensor, pipeline = serving.tensor or 1, serving.pipeline or 1
    attention = serving.attention_split or tensor
    name, flag = service.name, named(service.backend).tensor_flag
    findings = []
    if model.heads and attention > 1 and model.heads % attention:
        text = f"{name}: its {model.heads} attention heads cannot be divided by tensor parallel size {attention}"
        findings.append(about(service, "heads", "error", text, _fitting_sizes(flag, model)))
    elif model.kv_heads and attention > 1 and not model.kv_lora_rank:
        kv = model.kv_heads
        if (kv >= attention and kv % attention) or (attention > kv and attention % kv):
            text = f"{name}: its {kv} key-value heads and tensor parallel size {attention} do not divide each other"
            findings.append(about(service, "kv-heads", "error", text, _fitting_sizes(flag, model)))
        elif attention > kv:
            text = (
                f"{name}: its {kv} key-value heads are kept {attention // kv} times over at tensor parallel size "
                f"{attention}"
            )
            fix = f"{flag} {kv} needs as much cache on each GPU"
            findings.append(about(service, "kv-heads-copied", "info", text, fix))
    if model.vision_heads and tensor > 1 and model.vision_heads % tensor and cuts_vision(service, model):
        text = f"{name}: the {model.vision_heads} heads of its vision part cannot be divided by {tensor}"
        findings.append(about(service, "vision-heads", "error", text, _fitting_sizes(flag, model)))
    if model.layers and pipeline > model.layers:
        text = f"{name}: pipeline parallel size {pipeline} is more than its {model.layers} layers"
        findings.append(about(service, "pipeline", "error", text, f"at most {model.layers}"))
    if (serving.experts or 1) > 1 and not model.experts and not model.may_have_experts:
        text = f"{name}: expert parallelism is asked for, but {model.name or 'its model'} has no experts"
        findings.append(about(service, "no-experts", "error", text, "remove the option"))
    fault = group_fault(model, serving, service.backend)
    if fault is not None:
        option = named(service.backend).expert_option
        spread = f", or {option}" if "experts" in fault and option else ""
        findings.append(
            about(service, "quantization-group", "error", f"{name}: {fault}", f"choose a smaller {flag}{spread}")
        )
    if model.vocabulary and tensor > 1 and model.vocabulary % tensor:
        text = f"{name}: its vocabulary of {model.vocabulary} cannot be divided by {tensor}, and is padded"
        findings.append(about(service, "vocabulary", "info", text, "nothing needs to be done"))
    if service.backend == "vllm" and (serving.data or 1) > 1 and not model.experts:
        text = (
            f"{name}: {serving.data} data parallel copies of a model without experts could each be a service of its own"
        )
        findings.append(about(service, "data-parallel", "info", text, "separate services can be moved one by one"))
    longest = model_context(model, serving, keeps_original=named(service.backend).keeps_original_context)
    if longest and serving.context and serving.context > longest and named(service.backend).limits_context:
        text = f"{name}: a context of {serving.context} tokens is longer than the {longest} of its model"
        fix = f"{named(service.backend).context_flag} {longest}"
        findings.append(about(service, "context-too-long", _too_long(service), text, fix))
    return findings


def _too_long(service: Service) -> Severity:
    variable = named(service.backend).longer_context_variable
    if not variable:
        return "warning"
    return "warning" if service.launch.environment.get(variable, "").lower() in ("1", "true") else "error"


def tiles(service: Service, model: Architecture, assigned: Sequence[Gpu]) -> list[Finding]:
    """Widths that the kernels of an older GPU refuse."""
    capabilities = [minimum for gpu in assigned if (minimum := capability(gpu)) is not None]
    if not capabilities or service.backend not in ("vllm", "sglang"):
        return []
    fault = tile_fault(model, service.serving, min(capabilities))
    if fault is None:
        return []
    fix = f"choose another {named(service.backend).tensor_flag}, or assign it GPUs from 8.9 on"
    return [about(service, "kernel-tiles", "error", f"{service.name}: {fault}", fix, assigned[0].uuid)]


_READ_BY_NOBODY = re.compile(
    r"(TENSOR_PARALLEL|PIPELINE_PARALLEL|DATA_PARALLEL)(_SIZE)?|[TPD]P(_SIZE)?|GPU_MEMORY_UTIL(IZATION)?"
    r"|MAX_MODEL_LEN|MAX_NUM_SEQS|KV_CACHE_DTYPE|DTYPE|QUANTIZATION|MODEL|MODEL_ID|MODEL_NAME"
)
"""Variables that look as if they set an option of vLLM or SGLang; neither reads any of them."""


def unread_variables(service: Service) -> list[Finding]:
    """Variables in a file that the server itself does not read; a custom script may."""
    if not named(service.backend).reads_options_only or not is_official(service.backend, service.image):
        return []
    words = " ".join(service.launch.words)
    if command_line(service.launch.words, service.launch.environment).opaque:
        return []
    names = [
        name
        for name in service.launch.environment
        if _READ_BY_NOBODY.fullmatch(name)
        and not re.search(rf"\$\{{?{name}\b", words)
        # Compose may have substituted its value into the command.
        and service.launch.environment[name] not in service.launch.words
    ]
    if not names:
        return []
    text = f"{service.name}: {service.backend} does not read {', '.join(names)}, so they have no effect"
    return [about(service, "variable-unread", "warning", text, "write it as an option of its command")]


def not_counted(service: Service) -> list[Finding]:
    """What a figure omits because its size is unknown."""
    left_out = service.requirement.not_counted
    if not left_out:
        return []
    text = f"{service.name}: it needs more than is shown: {', '.join(left_out)} not counted"
    return [about(service, "not-counted", "info", text, "leave some headroom; once it has run, its real use is known")]


def by_version(service: Service) -> list[Finding]:
    """A figure that applies to newer versions only, if the image does not state its version."""
    model = service.files.architecture if service.files else None
    if service.backend != "vllm" or service.serving.version is not None or model is None:
        return []
    if service.requirement.source != "weights" or not (model.kv_lora_rank or model.window_layers):
        return []
    text = f"{service.name}: the version of vLLM is unknown from its image; its cache is counted as in 0.8.5 and newer"
    return [
        about(service, "version-unknown", "info", text, "an older version needs more: name the image by its version")
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


def alike(service: Service, assigned: Sequence[Gpu]) -> list[Finding]:
    """Whether GPUs that work together are alike, and linked by fast connections."""
    if len(assigned) < 2:
        return []
    labels = ",".join(gpu.label for gpu in assigned)
    instances = [gpu for gpu in assigned if gpu.mig_index is not None]
    if instances:
        text = f"{service.name} has {len(assigned)} GPUs ({labels}), but one process can use a single MIG instance only"
        return [
            about(service, "mig-in-group", "refusal", text, "assign it one instance, or whole GPUs", instances[0].uuid)
        ]
    if not service.serving.group:
        return []
    findings = []
    names = sorted({f"{gpu.name} {gib(gpu.memory_total_mib)}" for gpu in assigned})
    if len(names) > 1:
        kinds = f"{labels}: {', '.join(names)}"
        text = f"{service.name} works on GPUs of different kinds together ({kinds}); the slowest decides"
        findings.append(about(service, "mixed-gpus", "warning", text, "assign it GPUs of one kind", assigned[0].uuid))
    islands = sorted({gpu.island for gpu in assigned if gpu.island is not None})
    if len(islands) > 1:
        text = f"{service.name} works together on GPUs {labels} without a fast link between them ({', '.join(islands)})"
        findings.append(
            about(service, "across-islands", "warning", text, "assign it GPUs of one island", assigned[0].uuid)
        )
    return findings


def types(service: Service, assigned: Sequence[Gpu]) -> list[Finding]:
    """Whether its GPUs support the model's number types."""
    findings = []
    for gpu in assigned:
        refusal, emulation, fallback = cannot_run(service, gpu), is_slow(service, gpu), falls_back(service, gpu)
        if refusal:
            half = Edit(argument="--dtype", value="half", reason="its GPU has no bfloat16")
            edits = (half,) if refusal.startswith("bfloat16") else ()
            fix = "assign it a newer GPU" + (", or set --dtype half" if edits else "")
            findings.append(about(service, "dtype", "error", f"{service.name}: {refusal}", fix, gpu.uuid, edits=edits))
        elif fallback:
            fix = "assign it a newer GPU"
            findings.append(about(service, "dtype-fallback", "warning", f"{service.name}: {fallback}", fix, gpu.uuid))
        elif emulation:
            fix = "a newer GPU is faster"
            findings.append(about(service, "dtype-emulated", "warning", f"{service.name}: {emulation}", fix, gpu.uuid))
    return findings[:1]


def even_memory(service: Service, assigned: Sequence[Gpu], memory: Sequence[GpuMemory]) -> list[Finding]:
    """GPUs of a group should have about equal free memory before it starts: SGLang requires it; otherwise the fullest
    decides how much cache all of them get."""
    if service.launch.environment.get("SGLANG_ENABLE_TP_MEMORY_INBALANCE_CHECK") in ("0", "false", "False"):
        return []
    free = {}
    for gpu_memory in memory:
        if gpu_memory.usable_mib is not None and gpu_memory.uuid in service.assigned:
            claimed_mib = sum(
                part.mib or 0
                for part in gpu_memory.shares
                if part.kind in ("foreign", "service", "expected", "planned") and part.name != service.name
            )
            free[gpu_memory.uuid] = max(0, gpu_memory.usable_mib - claimed_mib)
    if len(free) < 2:
        return []
    least, most = min(free, key=lambda uuid: free[uuid]), max(free, key=lambda uuid: free[uuid])
    if free[least] >= EVEN * free[most]:
        return []
    labels = labels_by_uuid(assigned)
    text = (
        f"{service.name}: GPU {labels[least]} has {gib(free[least])} GiB free and GPU {labels[most]} "
        f"{gib(free[most])}; "
    )
    fix = "assign it GPUs with equal free memory"
    if named(service.backend).refuses_uneven_memory:
        text += "SGLang refuses groups whose free memory differs by more than a tenth"
        return [about(service, "uneven-memory", "error", text, fix, least)]
    return [about(service, "uneven-memory", "warning", f"{text}the fuller one limits both", fix, least)]
