"""The command check-order: does a model's state leak between jobs?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import database, formats, sweep_options, to_sweep_request


@click.command("check-order", short_help="Check whether answers depend on earlier requests.")
@sweep_options
@click.option("--all", "every", is_flag=True, help="Also show the jobs whose answers are the same.")
@database
@formats
@click.pass_context
def check_order(
    ctx: click.Context, /, every: bool, db: Path | None, format: Any, **given: Any
) -> None:
    """Check whether a model's answers depend on the requests before them.

    Each job runs alone in a new process, then after the other jobs, in two orders. If the texts
    differ, it runs alone once more, to tell a leak from a model that is not deterministic. The
    model is loaded once per job, so choose few jobs. Exit code 0 if nothing depends on the order,
    otherwise 1.
    """
    from runner import paths
    from runner.commands.check_order import order_check_exit_code, run_order_check
    from runner.planning import request
    from runner.view import queue_tables, sinks
    from runner.view.formats import write_grid

    how = sinks.choose_mode(sys.stderr, json=False, quiet=False)
    with sinks.open_sink(how, sys.stderr, sys.stderr) as emit:
        checked = run_order_check(
            request.build_plan(to_sweep_request(given)), paths.database_path(db), emit
        )
    write_grid(queue_tables.compared(checked.as_rows(every)), format or "table", sys.stdout)
    if format in (None, "table"):
        click.echo(checked.in_words())
    ctx.exit(order_check_exit_code(checked))
