"""A stand-in for nvidia-smi: the driver's state as `nvidia-smi -q -x` and `nvidia-smi -L` tell it.

The elements are those of driver 580 as far as gputui reads them; what a GPU does not tell is N/A there, too.
"""

import pathlib
import sys
from typing import Any


def lines_of(state: pathlib.Path) -> list[list[str]]:
    claims = state.with_name(state.name + ".claims")
    text = state.read_text() + (claims.read_text() if claims.exists() else "")
    return [line.split("\t") for line in text.splitlines()]


def values(fields: list[str]) -> dict[str, str]:
    return dict(field.split("=", 1) for field in fields if "=" in field)


def fault(state: pathlib.Path) -> str:
    """What is wrong with the driver as a whole."""
    system = values(next(fields for fields in lines_of(state) if fields[0] == "system"))
    return "" if system.get("init", "0") == "0" else "driver/library version mismatch"


def report(state: pathlib.Path) -> str:
    if fault(state):
        return f"Failed to initialize NVML: {fault(state).capitalize()}\n"
    lines = lines_of(state)
    system = values(next(fields for fields in lines if fields[0] == "system"))
    gpus = [fields for fields in lines if fields[0] == "gpu"]
    bodies = "".join(_gpu(fields, lines) for fields in gpus)
    return (
        '<?xml version="1.0" ?>\n<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">\n<nvidia_smi_log>\n'
        f"<driver_version>{system['driver']}</driver_version><attached_gpus>{len(gpus)}</attached_gpus>\n"
        f"{bodies}</nvidia_smi_log>\n"
    )


def _gpu(fields: list[str], lines: list[list[str]]) -> str:
    one: dict[str, Any] = values(fields)
    index = fields[1]
    cut = one["mig"] == "1"
    instances = [other for other in lines if other[0] == "mig" and other[1] == index]
    devices = "".join(
        f"<mig_device><index>{other[2]}</index><gpu_instance_id>{values(other)['gi']}</gpu_instance_id>"
        f"{_memory(values(other), lines, f'{index}:{other[2]}')}</mig_device>"
        for other in instances
    )
    processes = _processes(lines, index, "N/A") + "".join(
        _processes(lines, f"{index}:{other[2]}", values(other)["gi"]) for other in instances
    )
    return (
        f'<gpu id="{one["bus"]}"><product_name>{one["name"]}</product_name><uuid>{one["uuid"]}</uuid>'
        f"<minor_number>{one['minor']}</minor_number>"
        f"<mig_mode><current_mig>{'Enabled' if cut else 'Disabled'}</current_mig></mig_mode>"
        f"<mig_devices>{devices or 'None'}</mig_devices><pci><pci_bus_id>{one['bus']}</pci_bus_id>"
        f"<pci_gpu_link_info><pcie_gen><max_link_gen>5</max_link_gen><current_link_gen>5</current_link_gen></pcie_gen>"
        f"<link_widths><max_link_width>16x</max_link_width><current_link_width>{one['width']}x</current_link_width>"
        "</link_widths></pci_gpu_link_info><replay_counter>0</replay_counter></pci>"
        "<persistence_mode>Enabled</persistence_mode><performance_state>P0</performance_state>"
        "<fan_speed>N/A</fan_speed><ecc_mode><current_ecc>Enabled</current_ecc></ecc_mode>"
        f"<ecc_errors><volatile><sram_uncorrectable>0</sram_uncorrectable>"
        f"<dram_uncorrectable>{one['ecc']}</dram_uncorrectable></volatile></ecc_errors>"
        f"<remapped_rows><remapped_row_pending>{'Yes' if one['remap'] == '1' else 'No'}</remapped_row_pending>"
        "<remapped_row_failure>No</remapped_row_failure></remapped_rows>"
        f"{_memory(one, lines, index)}"
        f"<utilization><gpu_util>{'N/A' if cut else one['util'] + ' %'}</gpu_util></utilization>"
        f"<temperature><gpu_temp>{one['temp']} C</gpu_temp><gpu_temp_slow_threshold>{one['slowdown']} C"
        "</gpu_temp_slow_threshold></temperature>"
        f"<gpu_power_readings><instant_power_draw>{int(one['power']) / 1000:.2f} W</instant_power_draw>"
        f"<current_power_limit>{int(one['limit']) / 1000:.2f} W</current_power_limit></gpu_power_readings>"
        f"<clocks><sm_clock>{one['clock']} MHz</sm_clock></clocks>"
        f"<clocks_event_reasons><clocks_event_reason_sw_power_cap>Not Active</clocks_event_reason_sw_power_cap>"
        f"</clocks_event_reasons><processes>{processes}</processes></gpu>\n"
    )


def _held(lines: list[list[str]], label: str) -> list[list[str]]:
    return [fields for fields in lines if fields[0] == "proc" and fields[1] == label]


def _memory(one: dict[str, str], lines: list[list[str]], label: str) -> str:
    total, reserved = int(one["total"]), int(one.get("reserved", 0))
    used = int(one.get("base", 0)) + sum(int(fields[3]) for fields in _held(lines, label))
    return (
        f"<fb_memory_usage><total>{total} MiB</total><reserved>{reserved} MiB</reserved><used>{used} MiB</used>"
        f"<free>{total - reserved - used} MiB</free></fb_memory_usage>"
    )


def _processes(lines: list[list[str]], label: str, instance: str) -> str:
    return "".join(
        f"<process_info><gpu_instance_id>{instance}</gpu_instance_id><pid>{fields[2]}</pid><type>C</type>"
        f"<process_name>python</process_name><used_memory>{fields[3]} MiB</used_memory></process_info>"
        for fields in _held(lines, label)
    )


def listing(state: pathlib.Path) -> str:
    found = []
    lines = lines_of(state)
    for fields in lines:
        if fields[0] == "gpu":
            one = values(fields)
            found.append(f"GPU {fields[1]}: {one['name']} (UUID: {one['uuid']})")
            found += [
                f"  {values(other)['name']}     Device  {other[2]}: (UUID: {values(other)['uuid']})"
                for other in lines
                if other[0] == "mig" and other[1] == fields[1]
            ]
    return "\n".join(found) + "\n"


if __name__ == "__main__":
    sys.stdout.write((listing if "-L" in sys.argv else report)(pathlib.Path(sys.argv[1])))
