"""The columns of the services' table."""

from gputui.app.columns import Column

COLUMNS = (
    Column(title=" ", width=1),
    Column(title="SERVICE", width=16, grows=True, widest=48),
    Column(title="PROJECT", width=10, rank=9, extra=True),
    Column(title="BACKEND", width=10, rank=5),
    Column(title="MODEL", width=16, rank=6, grows=True, widest=48),
    Column(title="NEEDS/GPU", width=14, rank=2),
    Column(title="BUDGET", width=8, rank=8, extra=True, numeric=True),
    Column(title="PRIO", width=5, rank=8, extra=True, numeric=True),
    Column(title="GPUS", width=11),
    Column(title="ON", width=5, rank=3),
    Column(title="SM %", width=4, rank=7, extra=True, numeric=True),
    Column(title="HELD", width=6, rank=7, extra=True, numeric=True),
    Column(title="UP", width=6, rank=4, extra=True, numeric=True),
    Column(title="RESTARTS", width=8, rank=8, extra=True, numeric=True),
    Column(title="PORTS", width=12, rank=8, extra=True),
    Column(title="IMAGE", width=20, rank=9, grows=True, extra=True),
    Column(title="STATE", width=24),
)

COLUMN_TITLES = tuple(one.title for one in COLUMNS if one.rank)
"""Those that somebody can choose; the others are always there."""
