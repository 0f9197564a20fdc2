"""How grave something is: the same sign and the same style wherever it is told."""

MARKS = {"refusal": "✗", "error": "✗", "warning": "▲", "info": "·"}
CELLS = {"refusal": "error", "error": "error", "warning": "warning", "info": ""}
"""The style of a cell in a table."""
RUNS = {"refusal": "lost", "error": "lost", "warning": "planned", "info": "dim"}
"""The style of a run in a line."""
