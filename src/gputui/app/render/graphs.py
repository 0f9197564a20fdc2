"""Text graphs of past values: pure functions from values to rows."""

from collections.abc import Callable, Sequence

from gputui.domain.gpu_details import KEPT_S, GpuHistory, Moment

LEVELS = "▁▂▃▄▅▆▇█"
_LEFT = (0x40, 0x04, 0x02, 0x01)
_RIGHT = (0x80, 0x20, 0x10, 0x08)
"""The dots of a braille character from the bottom up, left and right column (Unicode, Braille Patterns)."""

Value = Callable[[Moment], int | None]


def resampled(history: GpuHistory, value: Value, count: int, span_s: float = KEPT_S) -> list[int | None]:
    """The highest value in each of `count` equal parts of the last `span_s` seconds, oldest first.

    The parts are aligned to multiples of their length, so that usually only the last one changes: fewer updates cost
    less over a slow connection.
    """
    if not history.moments or count <= 0:
        return [None] * max(0, count)
    size = max(1, round(span_s / count / history.period_s))
    newest = history.moments[-1].period // size
    values: list[int | None] = [None] * count
    for moment in history.moments:
        place = count - 1 - (newest - moment.period // size)
        level = value(moment)
        if 0 <= place < count and level is not None:
            peak = values[place]
            values[place] = level if peak is None else max(peak, level)
    return values


def blocks(values: Sequence[int | None]) -> str:
    """Percentages as one row, one cell per value."""
    return "".join(" " if value is None else LEVELS[min(7, max(0, value) * 8 // 101)] for value in values)


def braille(values: Sequence[int | None], height: int) -> list[str]:
    """Percentages as `height` rows, two values per cell."""
    levels = [None if value is None else max(1, round(min(100, max(0, value)) * height * 4 / 100)) for value in values]
    rows = []
    for row in range(height - 1, -1, -1):
        signs = []
        for place in range(0, len(levels), 2):
            pair = [levels[place], levels[place + 1] if place + 1 < len(levels) else None]
            dots = 0
            for level, masks in zip(pair, (_LEFT, _RIGHT), strict=True):
                filled = 0 if level is None else min(4, max(0, level - 4 * row))
                dots |= sum(masks[:filled])
            signs.append(chr(0x2800 + dots) if dots else " ")
        rows.append("".join(signs))
    return rows
