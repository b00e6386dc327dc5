"""The command line: parses, calls, prints, and gives exit codes. It holds no logic.

Modules here import click alone at their tops; all else is imported inside the commands, so
that `vlmsweep --help` stays instant.
"""

from __future__ import annotations

from .asking import named, schema, search
from .browse import browse
from .compare import diff
from .exchange import export, import_, issue
from .history import models, show, sql, sweeps
from .judging import judge
from .keeping import backup, prune
from .order import check_order
from .queue import queue, start
from .ready import fetch, plan
from .report import report
from .root import cli
from .safety import chaos, doctor
from .service import service
from .sweep import demo, resume, run
from .watch import logs, watch

__all__ = ["cli", "main"]

# In the order a newcomer needs them.
RUNNING = (demo, run, plan, fetch, resume, watch, logs)
QUEUEING = (queue, start, service)
READING = (show, report, named, search, sql, schema, sweeps, diff, judge, browse)
KEEPING = (export, import_, issue, prune, backup)
KNOWING = (models, check_order, doctor, chaos)

for command in (*RUNNING, *QUEUEING, *READING, *KEEPING, *KNOWING):
    cli.add_command(command)


def main() -> None:
    """The entry point of `vlmsweep`."""
    cli(prog_name="vlmsweep")
