"""Where a serving program answers once its model is loaded, and how long loading takes."""

from gputui.domain.service import Service
from gputui.domain.serving import HttpProbe
from gputui.planning.backends.registry import named
from gputui.planning.command_options import read_options, served_line, whole_number
from gputui.planning.needs.model_name import weights_by_name

_PORT_VARIABLES = ("PORT", "LLAMA_ARG_PORT")

UNKNOWN_LOADING_S = 900.0
"""How long a model of unknown size may load."""
LEAST_LOADING_S = 600.0


def serving_probe(service: Service, *, guess: bool = False) -> HttpProbe | None:
    """Where it will answer; None for unknown programs. `guess`: if its port is unknown, use the program's default,
    since what runs now will show whether it is right."""
    health = named(service.backend).health
    if health is None:
        return None
    port, path = health
    line = served_line(service.launch)
    options = read_options(line, service.launch.environment, {"--port": ()}, {"--port": _PORT_VARIABLES})
    if not options.known("--port") and not guess:
        return None
    port_text = options.text("--port")
    number = whole_number(port_text) if port_text else port
    return None if number is None else HttpProbe(port=number, path=path)


def loading_s(service: Service) -> float:
    """How many seconds a failing healthcheck may just mean that the model is still loading: twice the time that its
    weights take; 0 for a service that loads no known model."""
    if named(service.backend).health is None:
        return 0.0
    expected = start_s(service)
    return UNKNOWN_LOADING_S if expected is None else max(LEAST_LOADING_S, 2 * expected)


BYTES_PER_S = 250e6
"""Loading rate from a shared disk: 70 billion parameters in 16 bits then load in about ten minutes, as users report
(ten to fifteen)."""
BESIDES_S = 60.0
"""Imports, compilation and graphs."""
UNKNOWN_S = 60.0


def start_s(service: Service) -> float | None:
    """Seconds until it serves, by the bytes of its weights; None if these are unknown."""
    size = service.files.weights_bytes if service.files else None
    if size is None and service.model:
        size = weights_by_name(service.model)
    return None if size is None else BESIDES_S + size / BYTES_PER_S
