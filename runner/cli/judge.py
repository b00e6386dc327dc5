"""The command `judge`: rescores stored answers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import METRIC, PLACE, database, formats


@click.command(short_help="Check and score stored answers again.")
@click.argument("sweep", required=False)
@click.option("--answers", type=PLACE, help="Reference answers: CSV, JSONL or JSON.")
@click.option("--scoring", multiple=True, type=METRIC, help="Metric to score with (repeatable).")
@click.option("--replace", is_flag=True, help="Remove the earlier reference answers.")
@click.option(
    "--all", "every", is_flag=True, help="Rescore every sweep with its own reference answers."
)
@database
@formats
def judge(
    sweep: str | None,
    answers: Path | None,
    scoring: tuple[str, ...],
    replace: bool,
    every: bool,
    db: Path | None,
    format: Any,
) -> None:
    """Check and score a stored SWEEP's answers again, and print the scores. No model runs.

    SWEEP is a name, a number or a uid prefix (default: the latest). --answers adds reference
    answers to the stored ones; with --replace it replaces all of them.

    \b
    vlmsweep judge tuesday --answers answers.csv
    vlmsweep judge --answers answers.csv --scoring contains --scoring exact
    """
    from runner import paths
    from runner.commands import rescore
    from runner.text.units import pluralize
    from runner.view import tables
    from runner.view.formats import write_grid

    result = rescore.rescore(
        paths.database_path(db), sweep, answers, scoring, every=every, replace=replace
    )
    table = format in (None, "table")
    if result.scores or not table:
        write_grid(tables.scores_table(result.scores), format or "table", sys.stdout)
    if table:
        counted = f"{pluralize(result.done.checked, 'text')} checked, {result.done.scored} scored"
        click.echo("\n" * bool(result.scores) + counted)
        if result.references is not None:
            click.echo(str(result.references))
