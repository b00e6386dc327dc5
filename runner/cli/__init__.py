"""The command line: parses, calls, prints, and gives exit codes. It holds no logic.

Modules here import click alone at their tops; all else is imported inside the commands, so
that `vlmsweep --help` stays instant.
"""

from __future__ import annotations

from .browse import browse
from .check_order import check_order
from .compare import diff
from .diagnose import chaos, doctor
from .exchange import export, import_, issue
from .judge import judge
from .maintenance import backup, prune
from .plan import fetch, plan
from .query import history_command, schema, search
from .queue import queue, start
from .read import models, show, sql, sweeps
from .report import report
from .root import cli
from .service import service
from .sweep import demo, resume, run
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
