"""Queries the driver through a short-lived container with all GPUs, if gputui cannot query it itself."""

import time
from collections.abc import Sequence
from uuid import uuid4

from gputui.domain.errors import EngineError, Unreachable
from gputui.domain.injection import HostAccess, MechanismName
from gputui.engine.protocol import Engine
from gputui.planning.changes.driver_probe import probe_images, probe_spec
from gputui.planning.changes.injection_choice import with_evidence

LIMIT_S = 30.0
EVERY_S = 10.0
"""Seconds between its starts; each takes the engine about half a second."""
AGAIN_S = 600.0
"""Seconds before another attempt if no image works."""


class ProbeContainer:
    """Runs `nvidia-smi` in a container of `image`, else of a local image that works."""

    def __init__(self, engine: Engine, mechanism: MechanismName | None, image: str | None) -> None:
        self._engine = engine
        self._mechanism = mechanism
        self._image = image
        self._is_named = image is not None
        self._failed_at = float("-inf")
        self._failure = ""

    def run(self, arguments: Sequence[str]) -> str:
        """Its output.

        Raises:
            Unreachable: the engine does not answer, or no image works.
            Refusal: the engine is not known to support GPUs.
        """
        if time.monotonic() - self._failed_at >= AGAIN_S:
            containers = self._engine.containers()
            can = with_evidence(self._engine.info().capabilities, containers)
            access = HostAccess(capabilities=can, asked=self._mechanism)
            images = [self._image] if self._image else probe_images(containers, self._engine.images())
            for image in images:
                spec = probe_spec(access, image, arguments, f"gputui-probe-{uuid4().hex[:12]}")
                try:
                    output = self._engine.run_once(spec, LIMIT_S).decode(errors="replace")
                except EngineError as error:
                    self._failure = error.what
                    continue
                self._image = image
                return output
            self._failed_at = time.monotonic()
        if self._is_named:
            raise Unreachable(
                f"the image {self._image} could not ask the driver: {self._failure}",
                "name another one in GPUTUI_PROBE_IMAGE",
            )
        raise Unreachable("no image here makes a container that could ask the driver", "name one in GPUTUI_PROBE_IMAGE")
