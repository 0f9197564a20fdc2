"""Waits until a stopped container's GPU memory is free."""

import time
from dataclasses import dataclass
from functools import partial
from typing import Literal

from gputui.apply.health_gate import NVML_LIMIT_S, holders, within
from gputui.apply.operations.action import Action, ContainerPair, OperationContext, Part

UNACCOUNTED_MIB = 1024
"""GPU memory without a visible process counts as still being freed if there is more than this."""
UNCHANGED_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitRelease(Action):
    """Wait until a container's processes have left its GPUs and their memory is free, at most `limit_s`."""

    part: Part
    gpus: tuple[str, ...] = ()
    limit_s: float = 30.0
    kind: Literal["await_release"] = "await_release"

    def perform(self, pair: ContainerPair, context: OperationContext) -> str | None:
        """Wait until the processes are gone from every GPU, and then until the memory without a process is freed."""
        ref = pair.of(self.part)
        until = time.monotonic() + self.limit_s
        while processes := holders(context.source, context.gpus, ref):
            if time.monotonic() > until:
                return "still held: " + ", ".join(f"GPU {label} by pid {pid}" for label, pid in processes)
            time.sleep(0.1)
        if processes is None:
            return "who holds GPU memory cannot be seen"
        unaccounted = self._unaccounted(context)
        since = time.monotonic()
        while unaccounted and time.monotonic() < min(until, since + UNCHANGED_S):
            time.sleep(0.1)
            current = self._unaccounted(context)
            if current != unaccounted:
                unaccounted, since = current, time.monotonic()
        if not unaccounted:
            return None
        amounts = (f"{mib} MiB on GPU {label}" for label, mib in unaccounted.items())
        return ", ".join(f"{amount} are held by no process that is seen" for amount in amounts)

    def _unaccounted(self, context: OperationContext) -> dict[str, int]:
        """Large amounts of GPU memory (MiB, by GPU label) without a visible process, where both are known."""
        unaccounted = {}
        for gpu in context.gpus:
            if gpu.uuid not in self.gpus:
                continue
            reading = within(NVML_LIMIT_S, partial(context.source.read, gpu))
            processes = within(NVML_LIMIT_S, partial(context.source.processes, gpu))
            if reading is None or processes is None:
                continue  # a hanging driver must not delay a stopped service
            used = reading.memory_used_mib
            process_mib = [process.memory_mib for process in processes if process.memory_mib is not None]
            if used is not None and len(process_mib) == len(processes):
                unaccounted[gpu.label] = used - sum(process_mib)
        return {label: mib for label, mib in unaccounted.items() if mib > UNACCOUNTED_MIB}
