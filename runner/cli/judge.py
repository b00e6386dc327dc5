"""The command that judges stored texts anew: judge."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import METRIC, PLACE, database, formats


@click.command(short_help="Check and score stored answers anew.")
@click.argument("sweep", required=False)
@click.option("--answers", type=PLACE, help="Accepted answers: CSV, JSONL or JSON.")
@click.option("--scoring", multiple=True, type=METRIC, help="How to score them.")
@click.option("--replace", is_flag=True, help="Drop the accepted answers that were there before.")
@click.option("--all", "every", is_flag=True, help="Every sweep, by the answers it has.")
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
    """Check and score a stored SWEEP's answers anew, and show the scores. No model is run.

    SWEEP is a name, a number, a uid or its beginning; without it the latest is judged. With
    --answers those accepted are added to the ones that are known; with --replace they take the
    place of all of them.

    \b
    vlmsweep judge tuesday --answers answers.csv
    vlmsweep judge --answers answers.csv --scoring contains --scoring exact
    """
    from runner import paths
    from runner.commands import rescore
    from runner.text.units import pluralize
    from runner.view import tables
    from runner.view.formats import write

    marks = rescore.rescore(
        paths.database_path(db), sweep, answers, scoring, every=every, replace=replace
    )
    table = format in (None, "table")
    if marks.scores or not table:
        write(tables.scores(marks.scores), format or "table", sys.stdout)
    if table:
        counted = f"{pluralize(marks.done.checked, 'text')} checked, {marks.done.scored} scored"
        click.echo("\n" * bool(marks.scores) + counted)
        if marks.references is not None:
            click.echo(str(marks.references))
