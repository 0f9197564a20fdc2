"""Sending a signal to the process that was meant, and to no other that has its number by now."""

import os
import signal

from gputui.domain.errors import Refusal
from gputui.domain.gpu import ProcessSignal
from gputui.gpus.process_identity import sees_host_processes, start_time

NUMBERS: dict[ProcessSignal, signal.Signals] = {
    "TERM": signal.SIGTERM, "INT": signal.SIGINT, "KILL": signal.SIGKILL,
}  # fmt: skip


def send_signal(pid: int, started: int | None, name: ProcessSignal) -> None:
    """Send it by a handle on the process (Linux, pidfd_open), which cannot pass to another that gets its number.

    Raises:
        Refusal: it is not there any more, it is somebody else's, or nothing proves which it is.
    """
    if started is None or not sees_host_processes():
        raise Refusal(f"what process {pid} is cannot be seen from here", "send it on the host itself")
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        raise Refusal(f"process {pid} is not there any more") from None
    except OSError as error:
        raise Refusal(f"process {pid} cannot be reached: {error.strerror}") from None
    try:
        if start_time(pid) != started:
            raise Refusal(f"process {pid} is another one by now")
        signal.pidfd_send_signal(handle, NUMBERS[name])
    except PermissionError:
        raise Refusal(f"process {pid} is somebody else's", "ask them, or stop the service that it belongs to") from None
    except ProcessLookupError:
        raise Refusal(f"process {pid} is not there any more") from None
    finally:
        os.close(handle)
