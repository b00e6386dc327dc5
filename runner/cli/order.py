"""The command that asks whether a model's state leaks between pictures: check-order."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import to_sweep_request, database, formats, sweep_options


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
    from runner import ordercheck, places
    from runner.planning import wishes
    from runner.view import queued, telling
    from runner.view.output import write

    how = telling.choose_mode(sys.stderr, json=False, quiet=False)
    with telling.open_sink(how, sys.stderr, sys.stderr) as tell:
        checked = ordercheck.check(wishes.build_plan(to_sweep_request(given)), places.database_path(db), tell)
    write(queued.compared(checked.as_rows(every)), format or "table", sys.stdout)
    if format in (None, "table"):
        click.echo(checked.in_words())
    ctx.exit(ordercheck.exit_code(checked))
