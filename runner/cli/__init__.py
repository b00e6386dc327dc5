"""The command line: parses, calls, prints, and gives exit codes. It holds no logic.

Modules here import click alone at their tops; all else is imported inside the commands, so
that `vlmsweep --help` stays instant.
"""

from __future__ import annotations

from .browse import browse
from .check_order import check_order
from .diagnose import chaos, doctor
from .diff import diff
from .issue import issue
from .judge import judge
from .maintenance import backup, prune
from .models import models
from .plan import fetch, plan
from .query import history_command, schema, search, sql
from .queue import queue, start
from .report import report
from .root import cli
from .run import demo, resume, run
from .service import service
from .show import show, sweeps
from .transfer import export, import_
from .watch import logs, watch

__all__ = ["cli", "main"]

# In the order a newcomer needs them.
cli.section("Run sweeps", demo, run, plan, fetch, resume, watch, logs)
cli.section("Queue them for the night", queue, start, service)
cli.section("Read results", show, report, history_command, search, sql, schema, sweeps, browse)
cli.section("Judge and compare them", judge, diff, check_order)
cli.section("Keep and carry them", export, import_, issue, backup, prune)
cli.section("Check models and machine", models, doctor, chaos)


def main() -> None:
    """The entry point of `vlmsweep`."""
    cli(prog_name="vlmsweep")
