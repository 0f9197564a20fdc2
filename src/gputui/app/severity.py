"""How grave something is: the same style wherever it is told, beside the sign (`domain.finding.MARKS`)."""

CELLS = {"refusal": "error", "error": "error", "warning": "warning", "info": ""}
"""The style of a cell in a table."""
RUNS = {"refusal": "lost", "error": "lost", "warning": "finding", "info": "dim"}
"""The style of a run in a line."""
