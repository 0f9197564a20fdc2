"""One thread per GPU, so that a hanging driver affects only the readings of that GPU and its instances."""

import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count

from gputui.domain.gpu import Gpu, Reading
from gputui.domain.gpu_details import GpuDetails
from gputui.domain.text import clean
from gputui.gpus.source import GpuSource

STALE_AFTER_S = 3.0
"""A reading older than this many seconds (beyond the interval) is shown as stale, with its age."""

DETAILS_EVERY = 5
"""Slowly changing details are read at every fifth reading."""

PROCESS_EVERY = 2
"""Process lists are read at every second reading: NVML needs milliseconds for one (MangoHud #2104 measured 4.5)."""


class GpuReaders:
    """Holds the latest reading of every GPU and instance."""

    def __init__(self, source: GpuSource, gpus: Sequence[Gpu], interval_s: float) -> None:
        self._source = source
        self._interval_s = interval_s
        self._gpus = tuple(gpus)
        self._stop = threading.Event()
        self._fresh = threading.Condition()
        self._latest: dict[str, Reading] = {}
        self._complete: set[str] = set()
        self._began = time.time()
        by_device: dict[str, list[Gpu]] = {}
        for gpu in self._gpus:  # not by index, which a lost GPU may share with another one
            by_device.setdefault(gpu.pci_bus_id or gpu.uuid, []).append(gpu)
        for device_gpus in by_device.values():
            # Daemon threads: a thread that hangs in the driver cannot be stopped, and must not keep the program alive.
            threading.Thread(
                target=self._run, args=(device_gpus,), name=f"gpu-{device_gpus[0].index}", daemon=True
            ).start()

    def _run(self, gpus: Sequence[Gpu]) -> None:
        """Read one GPU and its instances, which hang together, in a loop."""
        readings: dict[str, Reading] = {}
        due = time.monotonic()
        for tick in count():
            for gpu in gpus:
                readings[gpu.uuid] = self._read(gpu, readings.get(gpu.uuid), tick)
                self._keep(readings[gpu.uuid])
            for gpu in gpus:  # in a second pass, so that the values do not wait for details
                reading = readings[gpu.uuid]
                if reading.state == "ok" and tick % DETAILS_EVERY == 0:
                    readings[gpu.uuid] = replace(reading, details=self._details(gpu))
                    self._keep(readings[gpu.uuid])
                self._note_complete(gpu)
            due = max(due + self._interval_s, time.monotonic())
            if self._stop.wait(due - time.monotonic()):
                return

    def _read(self, gpu: Gpu, previous: Reading | None, tick: int) -> Reading:
        processes, details = (previous.processes, previous.details) if previous else (None, None)
        try:
            reading = self._source.read(gpu)
            if reading.state == "ok" and tick % PROCESS_EVERY == 0:
                processes = self._source.processes(gpu)
        except Exception as error:  # an unexpected driver response must not stop the readings of this GPU
            reading = Reading(gpu=gpu, taken_at=time.time(), state="unknown", reason=clean(repr(error), 80))
        return replace(reading, processes=processes if reading.state == "ok" else None, details=details)

    def _keep(self, reading: Reading) -> None:
        with self._fresh:
            self._latest[reading.gpu.uuid] = reading
            self._fresh.notify_all()

    def _details(self, gpu: Gpu) -> GpuDetails | None:
        try:
            return self._source.details(gpu)
        except Exception:  # an unexpected driver response must not stop the readings of this GPU
            return None

    def _note_complete(self, gpu: Gpu) -> None:
        with self._fresh:
            self._complete.add(gpu.uuid)
            self._fresh.notify_all()

    def latest(self) -> tuple[Reading, ...]:
        """The latest reading of each GPU; an overdue one is `stale`, a missing one `unknown`."""
        now = time.time()
        with self._fresh:
            return tuple(self._judged(gpu, now) for gpu in self._gpus)

    def _judged(self, gpu: Gpu, now: float) -> Reading:
        reading = self._latest.get(gpu.uuid)
        if reading is None:
            waited = now - self._began
            reason = f"no answer for {waited:.0f} s" if waited > STALE_AFTER_S else None
            return Reading(gpu=gpu, taken_at=self._began, state="unknown", reason=reason)
        age = now - reading.taken_at
        if reading.state == "ok" and age > self._interval_s + STALE_AFTER_S:
            return replace(reading, state="stale", reason=f"no answer for {age:.0f} s")
        return reading

    def wait_for_first(self, limit_s: float) -> None:
        """Wait until every GPU has a reading, or for `limit_s` seconds."""
        with self._fresh:
            self._fresh.wait_for(lambda: len(self._latest) == len(self._gpus), timeout=limit_s)

    def wait_for_all(self, limit_s: float) -> None:
        """Wait until every GPU was read with its details, or for `limit_s` seconds."""
        with self._fresh:
            self._fresh.wait_for(lambda: len(self._complete) == len(self._gpus), timeout=limit_s)

    def close(self) -> None:
        """Stop reading; a hanging thread is abandoned."""
        self._stop.set()
