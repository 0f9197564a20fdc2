"""How long the context of a served model may be."""

from gputui.domain.model import Architecture
from gputui.domain.rope import longest_context
from gputui.domain.serving import Serving


def model_context(model: Architecture | None, serving: Serving, *, keeps_original: bool = False) -> int | None:
    """Tokens of the longest context that the model allows, as options change its positions; None where it does not
    tell. `keeps_original`: as `longest_context`."""
    if model is None:
        return None
    positions = serving.positions or model.positions
    rope = serving.rope or model.rope
    if positions is None:
        return model.context
    return longest_context(positions, rope, keeps_original=keeps_original)
