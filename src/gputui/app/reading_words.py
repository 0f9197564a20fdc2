"""A GPU's name and values in as few letters as people write them. The first picture needs no more than this."""

from gputui.domain.gpu import Reading


def short_name(name: str) -> str:
    """`NVIDIA H100 80GB HBM3` as it is called."""
    return name.removeprefix("NVIDIA ").removeprefix("GeForce ").replace(" HBM3", "").replace("-SXM4", "")


def amounts(reading: Reading) -> str:
    """`52/80`: GiB used of all."""
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
