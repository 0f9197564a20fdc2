"""Listens for GPU errors reported by the driver (Xid)."""

import ctypes
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pynvml

from gputui.domain.gpu_details import Xid

WAIT_MS = 250
TOLD_S = 3600.0
"""Seconds that an error is reported while the GPU keeps working: a lasting fault shows in other values by then."""

# Errors of programs rather than of the GPU (NVIDIA, "Xid errors": 13 graphics exception, 31 memory page fault,
# 43 reset channel, 45 preemptive cleanup, 68 video processor exception, 94 contained error).
_OF_PROGRAMS = frozenset((13, 31, 43, 45, 68, 94))


class XidWatch:
    """The last error of each GPU since the start; errors caused by programs are ignored."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._last: dict[str, Xid] = {}
        self._thread: threading.Thread | None = None

    def of(self, uuid: str) -> Xid | None:
        """The last error of a GPU, if it is recent."""
        last = self._last.get(uuid)
        return last if last is not None and time.time() - last.at < TOLD_S else None

    def stop(self) -> None:
        """Stop listening; call this before NVML is shut down, because the thread is inside it."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2 * WAIT_MS / 1000)  # a thread that hangs in the driver is abandoned
            self._thread = None

    def watch(self, handles: Mapping[str, Any]) -> None:
        """Listen to these GPUs instead of the previous ones; without driver support there are no events."""
        self.stop()
        self._stop = threading.Event()
        arguments = (dict(handles), self._stop)
        # A separate thread: it blocks in the driver until there is an event, and may hang.
        self._thread = threading.Thread(target=self._run, args=arguments, name="xid", daemon=True)
        self._thread.start()

    def _run(self, handles: Mapping[str, Any], stop: threading.Event) -> None:
        try:
            events = pynvml.nvmlEventSetCreate()
        except pynvml.NVMLError:
            return
        try:
            self._listen(events, handles, stop)
        finally:
            with suppress(pynvml.NVMLError):  # already gone if NVML was re-initialised
                pynvml.nvmlEventSetFree(events)

    def _listen(self, events: Any, handles: Mapping[str, Any], stop: threading.Event) -> None:
        registered = False
        addresses = {}
        for uuid, handle in handles.items():
            addresses[ctypes.cast(handle, ctypes.c_void_p).value] = uuid
            try:
                pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
                registered = True
            except pynvml.NVMLError:
                continue
        while registered and not stop.is_set():
            try:
                event = pynvml.nvmlEventSetWait_v2(events, WAIT_MS)
            except pynvml.NVMLError as error:
                if error.value != pynvml.NVML_ERROR_TIMEOUT and stop.wait(WAIT_MS / 1000):
                    return
                if error.value in (pynvml.NVML_ERROR_UNINITIALIZED, pynvml.NVML_ERROR_INVALID_ARGUMENT):
                    return  # NVML was re-initialised, which invalidates the handles
                continue
            faulty_uuid = addresses.get(ctypes.cast(event.device, ctypes.c_void_p).value)
            if faulty_uuid is not None and event.eventData not in _OF_PROGRAMS:
                self._last[faulty_uuid] = Xid(code=int(event.eventData), at=time.time())
