"""The command that judges stored texts anew: judge."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import METRICS, PLACE, database, formats


@click.command(short_help="Check and score stored answers anew.")
@click.argument("sweep", required=False)
@click.option("--answers", type=PLACE, help="Accepted answers: CSV, JSONL or JSON.")
@click.option("--scoring", multiple=True, type=click.Choice(METRICS), help="How to score them.")
@database
@formats
def judge(
    sweep: str | None, answers: Path | None, scoring: tuple[str, ...], db: Path | None, format: Any
) -> None:
    """Check and score a stored SWEEP's answers anew, and show the scores.

    SWEEP is a name, a number, a uid or its beginning; without it the latest is judged. With
    --answers those accepted take the place of what was known. No model is run.

    \b
    vlmsweep judge tuesday --answers answers.csv
    vlmsweep judge --answers answers.csv --scoring contains
    """
    from runner import places
    from runner.database.reader import Reader
    from runner.database.scores import model_scores
    from runner.rejudging import rejudge
    from runner.view import grids
    from runner.view.output import write

    place = places.database(db)
    number, done = rejudge(place, sweep, answers, scoring)
    with Reader(place) as reader:
        rows = model_scores(reader, number)
    if rows or format not in (None, "table"):
        write(grids.scores(rows), format or "table", sys.stdout)
    if format in (None, "table"):
        click.echo("\n" * bool(rows) + f"{done.checked} texts checked, {done.scored} scored")
