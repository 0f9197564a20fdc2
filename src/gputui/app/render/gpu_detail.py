"""All details of one GPU as lines of styled text: pure functions."""

import time
from collections.abc import Mapping, Sequence

from gputui.app.render.gpu_card import memory_bar, styles_of
from gputui.app.render.graphs import Value, braille, resampled
from gputui.app.render.styled import Line, Run, fit, width_of
from gputui.app.render.values import duration_text, short_name
from gputui.domain.gpu import Gpu, Reading
from gputui.domain.gpu_details import GpuDetails, GpuHistory, GpuLink, LinkTraffic, link_between
from gputui.domain.memory import GpuMemory, MemoryShare
from gputui.domain.units import gib

LABEL = 15
SHARE_WORDS = {"service": "", "expected": "expected ", "foreign": "", "planned": "planned ", "freed": "to be freed "}
GRAPHS: tuple[tuple[str, Value, str], ...] = (
    ("utilisation", lambda moment: moment.utilization_percent, "graph"),
    ("memory", lambda moment: moment.memory_percent, "service"),
    ("power", lambda moment: moment.power_percent, "service-other"),
    ("temperature", lambda moment: moment.temperature_c, "foreign"),
)


def _or(value: float | None, unit: str = "", form: str = "") -> str:
    return "n/a" if value is None else f"{format(value, form)}{unit}"


def _pair(title: str, text: str, style: str = "text") -> Line:
    return (Run(f" {title:{LABEL}}", "dim"), Run(text, style))


def detail_lines(
    reading: Reading,
    memory: GpuMemory | None,
    history: GpuHistory,
    traffic: tuple[LinkTraffic | None, LinkTraffic | None],
    width: int,
    *,
    graph_height: int = 3,
) -> list[Line]:
    """All details of a GPU; `traffic` is the last measurement and the one before."""
    gpu = reading.gpu
    lines: list[Line] = [
        (
            Run(f" GPU {gpu.label} ", "title"),
            Run(short_name(gpu.name), "title"),
            Run(_state(reading), _state_style(reading)),
        ),
        _pair("UUID", gpu.uuid),
        _pair("bus", f"{gpu.pci_bus_id or 'n/a'} · NUMA {_or(gpu.numa_node)} · {gpu.island or 'no island known'}"),
    ]
    lines += _memory_lines(reading, memory, width)
    lines.append(())
    for title, value, style in GRAPHS:
        lines += _graph(title, history, value, style, width, graph_height)
    lines.append(())
    lines += _current_lines(reading)
    lines += _health_lines(reading.details)
    lines += _traffic(*traffic)
    return [fit(line, width) for line in lines]


def _state(reading: Reading) -> str:
    if reading.state == "ok":
        return f"   read {duration_text(max(0.0, time.time() - reading.taken_at))} ago"
    return f"   {reading.state.upper()}: {reading.reason or 'no reading yet'}"


def _state_style(reading: Reading) -> str:
    return "dim" if reading.state == "ok" else "lost"


def _memory_lines(reading: Reading, memory: GpuMemory | None, width: int) -> list[Line]:
    total = reading.memory_total_mib
    figures = (
        f"{gib(reading.memory_used_mib)} used, {gib(reading.memory_reserved_mib)} reserved, "
        f"{gib(reading.memory_free_mib)} free of {gib(total)} GiB"
    )
    lines: list[Line] = [_pair("memory", figures)]
    if memory is None:
        return lines
    lines.append((Run(" " * (LABEL + 1)), *memory_bar(memory, total, max(10, width - LABEL - 3))))
    styles = styles_of(memory)
    lines += [_legend(share, styles[share]) for share in memory.shares]
    gap = unaccounted_mib(reading)
    if gap is not None and gap > 0:
        lines.append(_pair("", f"{gib(gap)} held by no process that is listed", "dim"))
    if memory.free_after_mib is not None:
        style = "warning" if memory.free_after_mib < 0 else "text"
        lines.append(_pair("with the draft", f"{gib(memory.free_after_mib)} GiB left", style))
    return lines


def _legend(share: MemoryShare, style: str) -> Line:
    return _pair(
        "", f"{'n/a' if share.mib is None else gib(share.mib):>6}  {SHARE_WORDS[share.kind]}{share.name}", style
    )


def unaccounted_mib(reading: Reading) -> int | None:
    """Used memory that no listed process holds; None if unknown."""
    if reading.memory_used_mib is None or reading.processes is None:
        return None
    amounts = [process.memory_mib for process in reading.processes]
    if any(mib is None for mib in amounts):
        return None
    return reading.memory_used_mib - sum(mib or 0 for mib in amounts)


def _graph(title: str, history: GpuHistory, value: Value, style: str, width: int, height: int) -> list[Line]:
    graph_width = max(10, min(150, width - LABEL - 8))
    values = resampled(history, value, graph_width * 2)
    if all(level is None for level in values):
        return [_pair(title, "no values", "dim")]
    latest = next(level for level in reversed(values) if level is not None)
    rows = braille(values, height)
    unit = "°" if title == "temperature" else "%"
    lines: list[Line] = []
    for number, row in enumerate(rows):
        head = title if number == 0 else "10 min" if number == 1 else ""
        tail = f" {latest:3d}{unit}" if number == 0 else ""
        lines.append((Run(f" {head:{LABEL}}", "dim"), Run(row, style), Run(tail)))
    return lines


def _current_lines(reading: Reading) -> list[Line]:
    details = reading.details
    slowdown = f", slows down at {details.slowdown_c}°" if details and details.slowdown_c else ""
    memory = f", memory {details.memory_temperature_c}°" if details and details.memory_temperature_c else ""
    limit = _or(reading.power_limit_w, " W", ".0f")
    busy = f" · memory busy {_or(details.memory_busy_percent, ' %')}" if details else ""
    limited = ", ".join(reading.throttle_reasons)
    return [
        _pair("busy", f"{_or(reading.utilization_percent, ' %')}{busy}"),
        _pair("temperature", f"{_or(reading.temperature_c, '°')}{memory}{slowdown}"),
        _pair("power", f"{_or(reading.power_w, '', '.0f')} of {limit}"),
        _pair("limited by", limited or "nothing", "warning" if limited else "text"),
        _pair("clock", f"{_or(reading.clock_sm_mhz, ' MHz')} of {_or(details.clock_sm_max_mhz if details else None)}"
              f" · memory {_or(details.clock_memory_mhz if details else None, ' MHz')}"),
    ]  # fmt: skip


def _health_lines(details: GpuDetails | None) -> list[Line]:
    if details is None:
        return [_pair("health", "not known yet", "dim")]
    faults = ", ".join(details.faults)
    ecc = (
        "off"
        if details.ecc is False
        else (
            f"{_or(details.ecc_corrected)} corrected, {_or(details.ecc_uncorrected)} uncorrected "
            "since the driver was loaded"
        )
    )
    link = (
        f"gen {_or(details.pcie_generation)} of {_or(details.pcie_generation_max)} ×{_or(details.pcie_width)} of "
        f"×{_or(details.pcie_width_max)}, {_or(details.pcie_replays)} replays"
    )
    slow = ", ".join(details.limits)
    nvlinks = f"{_or(details.nvlinks_active)} of {details.nvlinks} up" if details.nvlinks else "none"
    media = f"encoder {_or(details.encoder_percent, ' %')}, decoder {_or(details.decoder_percent, ' %')}"
    persistence = {True: "on", False: "off", None: "n/a"}[details.persistence]
    return [
        _pair("health", faults or "no fault known", "lost" if faults else "text"),
        _pair("ECC", ecc),
        _pair("remapped rows", _or(details.remapped_rows)),
        _pair("PCIe", link, "warning" if "PCIe" in slow else "text"),
        _pair("NVLink", nvlinks, "warning" if "NVLink" in slow else "text"),
        _pair("state", f"{details.performance_state or 'n/a'} · fan {_or(details.fan_percent, ' %')} · {media}"
              f" · persistence mode {persistence}"),
    ]  # fmt: skip


def _traffic(latest: LinkTraffic | None, previous: LinkTraffic | None) -> list[Line]:
    if latest is None:
        return [_pair("traffic", "n/a", "dim")]
    lines = [_pair("traffic", f"PCIe in {_rate(latest.pcie_rx_kib_s)}, out {_rate(latest.pcie_tx_kib_s)}")]
    if previous is not None and latest.taken_at > previous.taken_at:
        seconds = latest.taken_at - previous.taken_at
        pairs = ((latest.nvlink_rx_kib, previous.nvlink_rx_kib), (latest.nvlink_tx_kib, previous.nvlink_tx_kib))
        rates = [None if a is None or b is None else max(0, int((a - b) / seconds)) for a, b in pairs]
        if any(rate is not None for rate in rates):
            lines.append(_pair("", f"NVLink in {_rate(rates[0])}, out {_rate(rates[1])}"))
    return lines


def _rate(kib_s: int | None) -> str:
    if kib_s is None:
        return "n/a"
    return f"{kib_s / 2**20:.1f} GiB/s" if kib_s >= 2**20 else f"{kib_s / 1024:.1f} MiB/s"


def topology_lines(gpus: Sequence[Gpu], links: Sequence[GpuLink], width: int) -> list[Line]:
    """The links between GPUs, with the NUMA node and the island of each."""
    physical = [gpu for gpu in gpus if gpu.parent_uuid is None]
    lines: list[Line] = [
        (
            Run(f" {'':6}", "dim"),
            *(Run(f"{'GPU' + gpu.label:>7}", "title") for gpu in physical),
            Run("   NUMA  ISLAND", "dim"),
        )
    ]
    for gpu in physical:
        cells: list[Run] = [Run(f" GPU{gpu.label:3}", "title")]
        for peer in physical:
            link = link_between(links, gpu.uuid, peer.uuid)
            text = "X" if gpu is peer else link.text if link else "?"
            style = "dim" if gpu is peer else "graph" if link and link.kind == "NVLink" else "text"
            cells.append(Run(f"{text:>7}", style))
        cells.append(Run(f"{_or(gpu.numa_node):>7}  {gpu.island or '–'}"))
        lines.append(tuple(cells))
    words: Mapping[str, str] = {
        "NV18": "18 NVLinks", "PIX": "one PCIe bridge", "PXB": "several PCIe bridges", "PHB": "the host's PCIe bridge",
        "NODE": "one NUMA node", "SYS": "between NUMA nodes", "?": "not known",
    }  # fmt: skip
    lines += [(), *((Run(f"  {name:5} ", "title"), Run(word, "dim")) for name, word in words.items())]
    lines += [(), (Run(" Placements of several GPUs keep to one island where they can.", "dim"),)]
    return [fit(line, max(width, width_of(line))) for line in lines]
