"""What a container wrote outside its volumes, and would lose when it is made anew."""

from gputui.domain.container import Layer
from gputui.domain.finding import Finding
from gputui.domain.plan import Step

WORTH_A_WARNING_BYTES = 100 * 10**6
"""Above it, it is hardly logs and caches: weights that were downloaded inside are lost in this way."""
WORTH_A_LINE_BYTES = 10**6


def layer_finding(step: Step, layer: Layer) -> Finding | None:
    """A warning where much would be lost, with the largest paths."""
    if layer.size_bytes is None or layer.size_bytes < WORTH_A_WARNING_BYTES:
        return None
    fix = f"keep it as an image first (`gputui apply --keep-layer {step.name}`), or put it on a volume"
    text = f"{step.name} would lose {layer_text(layer)}"
    return Finding(code="writable-layer", severity="warning", text=text, fix=fix, service=step.name)


def layer_line(layer: Layer) -> str | None:
    """What would be lost, as a line to read; None where that is next to nothing."""
    if layer.size_bytes is None:
        return "what it wrote outside its volumes is lost; how much that is cannot be told"
    return f"lost: {layer_text(layer)}" if layer.size_bytes >= WORTH_A_LINE_BYTES else None


def layer_text(layer: Layer) -> str:
    """Its size and its largest paths."""
    paths = ", ".join(f"{path} {_size(size)}" for path, size in layer.largest if size >= WORTH_A_LINE_BYTES)
    return f"{_size(layer.size_bytes or 0)} written outside its volumes" + (f" ({paths})" if paths else "")


def _size(size: int) -> str:
    return f"{size / 10**9:.1f} GB" if size >= 10**9 else f"{size / 10**6:.0f} MB"
