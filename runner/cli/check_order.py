"""The command that asks whether a model's state leaks between images: check-order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import database, formats, sweep_options, to_sweep_request


@click.command("check-order", short_help="See whether answers depend on what was asked before.")
@sweep_options
@click.option("--all", "every", is_flag=True, help="Show the jobs that do not differ, too.")
@database
@formats
@click.pass_context
def check_order(
    ctx: click.Context, /, every: bool, db: Path | None, format: Any, **given: Any
) -> None:
    """See whether a model's answers depend on what it was asked before.

    Each job runs alone in a fresh process, then after others, in two orders; where texts differ,
    once more alone, to tell a leak from a model that is unsteady by itself. Loads a model once for
    every job: take few. Exit code 0 when nothing depends on the order, else 1.
    """
    from runner import paths
    from runner.commands.check_order import order_check_exit_code, run_order_check
    from runner.planning import request
    from runner.view import queue_tables, sinks
    from runner.view.formats import write

    how = sinks.choose_mode(sys.stderr, json=False, quiet=False)
    with sinks.open_sink(how, sys.stderr, sys.stderr) as emit:
        checked = run_order_check(
            request.build_plan(to_sweep_request(given)), paths.database_path(db), emit
        )
    write(queue_tables.compared(checked.as_rows(every)), format or "table", sys.stdout)
    if format in (None, "table"):
        click.echo(checked.in_words())
    ctx.exit(order_check_exit_code(checked))
