"""Short texts for GPU names and values, ages and times. The startup preview imports only this module."""

from datetime import datetime

from gputui.domain.gpu import Reading
from gputui.domain.text import moment


def short_name(name: str) -> str:
    """The common name: `H100 80GB` for `NVIDIA H100 80GB HBM3`."""
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ").replace(" HBM3", "").replace("-SXM4", "")


def amounts(reading: Reading) -> str:
    """`52/80`: used and total GiB."""
    if reading.memory_total_mib is None:
        return "n/a"
    form = ".1f" if reading.memory_total_mib < 10 * 1024 else ".0f"
    used = "?" if reading.memory_used_mib is None else format(reading.memory_used_mib / 1024, form)
    return f"{used}/{reading.memory_total_mib / 1024:{form}}"


def power(reading: Reading) -> str:
    """`412/700W`."""
    if reading.power_w is None:
        return "n/a"
    limit = "?" if reading.power_limit_w is None else f"{reading.power_limit_w:.0f}"
    return f"{reading.power_w:.0f}/{limit}W"


def utilization(reading: Reading) -> str:
    """` 93%`."""
    return " n/a" if reading.utilization_percent is None else f"{reading.utilization_percent:3d}%"


_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def duration_text(seconds: float) -> str:
    """`3 d`, `5 h`, `12 min`, `40 s`."""
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def age_text(text: str, now_s: float) -> str:
    """The time since this timestamp; `–` if unknown."""
    timestamp = moment(text)
    return "–" if timestamp is None else duration_text(now_s - timestamp)


def clock_text(text: str | None) -> str:
    """The local time of day."""
    timestamp = moment(text) if text else None
    return "--:--:--" if timestamp is None else datetime.fromtimestamp(timestamp).strftime("%H:%M:%S")


def date_text(text: str | None) -> str:
    """The local date and time of day."""
    timestamp = moment(text) if text else None
    return text or "" if timestamp is None else datetime.fromtimestamp(timestamp).strftime("%Y-%m-%d %H:%M:%S")
