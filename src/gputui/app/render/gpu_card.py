"""A GPU as a card of five lines, or as one line: pure functions from values to styled text."""

from collections.abc import Sequence
from dataclasses import dataclass

from gputui.app.render.graphs import blocks
from gputui.app.render.styled import Line, Run, fit, width_of
from gputui.app.render.values import amounts, power, short_name, utilization
from gputui.domain.gpu import Reading
from gputui.domain.memory import GpuMemory, MemoryShare
from gputui.domain.units import gib

CARD_HEIGHT = 5
SHARES = {
    "service": ("█", "service"),
    "foreign": ("▓", "foreign"),
    "freed": ("▚", "freed"),
    "expected": ("▒", "service"),
    "planned": ("▒", "planned"),
}

THEIRS = ("service", "expected")
"""The kinds of shares that belong to running services."""

HOT_C = 85
"""Temperature shown as a warning if the GPU does not report its slowdown threshold."""
HOT_MARGIN_C = 5
"""Degrees below the slowdown threshold."""
TWO_GRAPHS = 46
"""Inner width of a card needed for a second graph, of the memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CardView:
    """The content of a card; `busy` and `filled` are percentages of the last ten minutes, oldest first."""

    reading: Reading
    memory: GpuMemory | None
    busy: tuple[int | None, ...] = ()
    filled: tuple[int | None, ...] = ()
    warning: bool = False


def styles_of(memory: GpuMemory) -> dict[MemoryShare, str]:
    """The style of each share in bar and legend; services alternate between two, to tell neighbours apart."""
    services = list(dict.fromkeys(share.name for share in memory.shares if share.kind in THEIRS))
    alternates = frozenset(services[1::2])
    return {
        share: "service-other" if share.kind in THEIRS and share.name in alternates else SHARES[share.kind][1]
        for share in memory.shares
    }


def memory_bar(memory: GpuMemory | None, total_mib: int | None, width: int) -> Line:
    """The stacked bar: services, foreign processes, memory freed and added by the draft, and free memory."""
    if not total_mib or memory is None or width <= 0:
        return (Run("·" * max(0, width), "dim"),)
    cells: list[Run] = []
    order = ("service", "expected", "foreign", "freed", "planned")
    shares = sorted(memory.shares, key=lambda share: order.index(share.kind))
    filled, cumulative_mib = 0, 0
    styles = styles_of(memory)
    for share in shares:
        cumulative_mib += share.mib or 0
        end = min(width, round(cumulative_mib * width / total_mib))
        if share.mib and end == filled and share.mib * 50 > total_mib:
            end = min(width, filled + 1)
        if end > filled:
            cells.append(Run(SHARES[share.kind][0] * (end - filled), styles[share]))
            filled = end
    if filled < width:
        cells.append(Run("░" * (width - filled), "free"))
    return tuple(cells)


def temperature(reading: Reading) -> Run:
    """`61°`."""
    if reading.temperature_c is None:
        return Run("n/a", "dim")
    slowdown = reading.details.slowdown_c if reading.details else None
    hot = HOT_C if slowdown is None else slowdown - HOT_MARGIN_C
    return Run(f"{reading.temperature_c}°", "warning" if reading.temperature_c >= hot else "text")


def holders(view: CardView, width: int) -> Line:
    """The holders of the memory, such as `+ ai-emb 22  ai-llm 43  alice 7.9`; those that do not fit are counted."""
    memory = view.memory
    runs: list[Run] = []
    signs = {"service": "", "expected": "", "foreign": "", "planned": "+ ", "freed": "− "}
    order = ("planned", "freed", "service", "expected", "foreign")
    holdings = {share.name: share.mib for share in memory.shares if share.kind == "service"} if memory else {}
    expected = {share.name: share.mib for share in memory.shares if share.kind == "expected"} if memory else {}
    styles = styles_of(memory) if memory else {}
    for share in sorted(styles, key=lambda share: order.index(share.kind)):
        name = share.name.partition(":")[0] if share.kind == "foreign" else share.name
        if share.kind == "foreign" and (share.mib or 0) < 100:
            continue  # what the driver itself uses on an idle GPU
        if share.kind == "expected" and name in holdings:
            continue  # part of the amount of its service
        amount = _amount(share.mib)
        if share.kind in THEIRS and name in expected:
            holding_mib = holdings.get(name, None if view.reading.processes is None else 0)
            pending_mib = expected[name]
            total_mib = None if pending_mib is None else (holding_mib or 0) + pending_mib
            amount = f"{_amount(holding_mib)} of {_amount(total_mib)}"
        runs.append(Run(f"{signs[share.kind]}{name} {amount}", styles[share]))
    if view.reading.gpu.mig_enabled:
        return (Run("cut into MIG instances", "dim"),)
    idle_text = "processes n/a" if view.reading.processes is None else "idle"
    return _as_many_as_fit(runs, width) if runs else (Run(idle_text, "dim"),)


def _as_many_as_fit(words: Sequence[Run], width: int) -> Line:
    """Join words with two spaces; those that do not fit are counted. The first is always included."""
    for count in range(len(words), 0, -1):
        overflow = [Run(f"+{len(words) - count}", "dim")] if count < len(words) else []
        line = [run for word in (*words[:count], *overflow) for run in (Run("  "), word)][1:]
        if width_of(line) <= width:
            return tuple(line)
    return tuple(words[:1])


def _amount(mib: int | None) -> str:
    if mib is None:
        return "?"
    return gib(mib) if 0 < mib < 10 * 1024 else str(round(mib / 1024))


def _edge(left_edge: str, middle: Sequence[Run], right_edge: str, frame: str) -> Line:
    return (Run(left_edge, frame), *middle, Run(right_edge, frame))


def card(view: CardView, width: int) -> tuple[Line, ...]:
    """The five lines of a card."""
    reading = view.reading
    frame = "lost" if reading.state == "lost" else "over" if view.warning else "frame"
    inner = width - 4
    unified = "unified memory " if reading.gpu.unified_memory else ""
    title = f" {reading.gpu.label} {short_name(reading.gpu.name)} {unified}"
    corner: Line = (Run("─╮", frame),)
    if reading.state != "ok":
        corner = (Run(" ", frame), Run(reading.state.upper(), "lost"), Run(" ╮", frame))
    elif not _is_part(reading):
        corner = (Run(" ", frame), temperature(reading), Run(" ╮", frame))
    title_width = max(4, width - 2 - width_of(corner))
    title = title if len(title) <= title_width else title[: title_width - 1] + "…"
    dashes = max(1, width - 1 - len(title) - width_of(corner))
    top = (Run("╭", frame), Run(title, "title"), Run("─" * dashes, frame), *corner)
    bodies = _lost_lines(view, inner) if reading.state in ("lost", "unknown") else _lines(view, inner)
    note, severe = _note(view)
    bottom_text = f" {'▲ ' if severe else ''}{note} " if note else ""
    if len(bottom_text) > width - 3:
        bottom_text = bottom_text[: width - 5] + "… "
    bottom = (
        Run("╰", frame),
        Run("─" * (width - 2 - len(bottom_text)), frame),
        Run(bottom_text, "warning"),
        Run("╯", frame),
    )
    return (
        fit(top, width),
        *(_edge("│ ", fit(body, inner), " │", frame) for body in bodies),
        bottom,
    )


def _note(view: CardView) -> tuple[str, bool]:
    """The most severe note about the GPU, and whether it is a reason not to use it."""
    memory, reading = view.memory, view.reading
    if view.warning and memory is not None and memory.free_after_mib is not None and memory.free_after_mib < 0:
        return f"over by {gib(-memory.free_after_mib)} GiB", True
    if reading.state == "stale":
        return reading.reason or "", False
    details = reading.details
    if details and details.faults:
        return details.faults[0], True
    if reading.throttle_reasons:
        return reading.throttle_reasons[0], False
    return (details.limits[0], False) if details and details.limits else ("", False)


def _lines(view: CardView, inner: int) -> tuple[Line, ...]:
    reading = view.reading
    numbers = amounts(reading).rjust(6)
    bar = memory_bar(view.memory, reading.memory_total_mib, inner - len(numbers) - 1)
    return ((*bar, Run(f" {numbers}")), _history(view, inner), holders(view, inner))


def _history(view: CardView, inner: int) -> Line:
    """The utilization graph, and the memory graph if there is space or no utilization."""
    reading = view.reading
    if _is_part(reading):
        hint = f"load and heat: GPU {reading.gpu.label.partition(':')[0]}"
        return (Run(_graph(view.filled, max(0, inner - len(hint) - 1)), "service"), Run(f" {hint}", "dim"))
    watts = power(reading).rjust(8)
    busy = utilization(reading)
    graph_width = max(0, inner - len(busy) - len(watts) - 2)
    graphs: tuple[Run, ...] = (Run(_graph(view.busy, graph_width), "graph"), Run(f" {busy}"))
    if inner >= TWO_GRAPHS:
        half = (graph_width - 1) // 2
        memory = Run(_graph(view.filled, half), "service")
        graphs = (memory, Run(" " * (graph_width - 2 * half)), Run(_graph(view.busy, half), "graph"), Run(f" {busy}"))
    return (*graphs, Run(f" {watts}", "dim"))


def _is_part(reading: Reading) -> bool:
    """Whether it is a MIG instance, for which NVML reports only the memory."""
    return reading.gpu.parent_uuid is not None and reading.utilization_percent is None


def _graph(values: Sequence[int | None], width: int) -> str:
    return blocks(values[-width:] if width else ()).rjust(width)


def _lost_lines(view: CardView, inner: int) -> tuple[Line, ...]:
    reading = view.reading
    reason = reading.reason or "waiting for its first reading"
    return ((Run(reason, "lost" if reading.state == "lost" else "dim"),), (), _known_holders(view, inner))


def _known_holders(view: CardView, width: int) -> Line:
    return holders(view, width) if view.memory and view.memory.shares else ()


def row(view: CardView, width: int, name_width: int) -> Line:
    """A GPU as one line, for small screens and many GPUs."""
    reading = view.reading
    mark = Run("▲" if view.warning else " ", "warning")
    head = (
        mark,
        Run(f"{reading.gpu.label:>4} "),
        Run(short_name(reading.gpu.name)[:name_width].ljust(name_width) + " ", "title"),
    )
    if reading.state in ("lost", "unknown"):
        status = (*head, Run(f"{reading.state.upper()} ", "lost"), Run(f"{reading.reason or ''}  ", "dim"))
        return fit((*status, *_known_holders(view, width - width_of(status))), width)
    bar_width = max(6, min(24, width // 6))
    stale = (Run(f" {reading.reason}", "lost"),) if reading.state == "stale" else ()
    degrees = temperature(reading)
    note, severe = _note(view)
    severe = severe and not stale
    values = (
        *head,
        *memory_bar(view.memory, reading.memory_total_mib, bar_width),
        Run(f" {amounts(reading):>6} {utilization(reading)} "),
        Run(" " * (4 - width_of((degrees,)))),
        degrees,
        Run(f" {power(reading):>8}  ", "dim"),
        *stale,
        *((Run(f"{note}  ", "warning"),) if severe else ()),
    )
    line = (*values, *holders(view, width - width_of(values)))
    light = (Run("  "), Run(note, "warning"))
    fits = not severe and not stale and width_of((*line, *light)) <= width
    return fit((*line, *light) if fits else line, width)


def overview(views: Sequence[CardView], width: int) -> list[Line]:
    """All GPUs in as few lines as possible, one word each: label, memory, utilization and warning."""
    lines: list[Line] = []
    line, used = [Run(" ")], 1
    words = [_word(view) for view in views]
    size = max((width_of(word) for word in words), default=0)
    for word in words:
        if used + size > width and len(line) > 1:
            lines.append(fit(line, width))
            line, used = [Run(" ")], 1
        line += fit(word, size)
        used += size
    return [*lines, fit(line, width)]


def _word(view: CardView) -> list[Run]:
    reading = view.reading
    head = [Run("▲" if view.warning else " ", "warning"), Run(f"{reading.gpu.label} ", "title")]
    if reading.state in ("lost", "unknown"):
        return [*head, Run(f"{reading.state.upper()}  ", "lost")]
    return [*head, *memory_bar(view.memory, reading.memory_total_mib, 6), Run(f" {utilization(reading).strip()}  ")]
