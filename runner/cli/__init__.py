"""The command line: parses options, calls the library, prints, returns exit codes.

Modules here import only click at the top; commands import the rest when they run, so that
`vlmsweep --help` stays fast.
"""

from __future__ import annotations

from .browse import browse
from .check_order import check_order
from .diagnose import chaos, doctor
from .diff import diff
from .help import help_
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
cli.section("Queue sweeps", queue, start, service)
cli.section("Read results", show, report, history_command, search, sql, schema, sweeps, browse)
cli.section("Score and compare", judge, diff, check_order)
cli.section("Export, import and maintain", export, import_, issue, backup, prune)
cli.section("Check models and the machine", models, doctor, chaos)
cli.section("Read the documentation", help_)


def main() -> None:
    """The entry point of `vlmsweep`."""
    cli(prog_name="vlmsweep")
