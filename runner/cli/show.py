"""The commands that show stored sweeps: show and sweeps. They never write to the database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import database, formats


@click.command(short_help="Show a sweep: a line per model, or per job with --runs.")
@click.argument("sweep", required=False)
@click.option("--runs", is_flag=True, help="Show a row per job instead of a row per model.")
@click.option("--scores", is_flag=True, help="Show a row per model and metric, with 95% intervals.")
@click.option("--guide", is_flag=True, help="Write how each model was loaded, as Markdown or JSON.")
@database
@formats
def show(
    sweep: str | None, runs: bool, scores: bool, guide: bool, db: Path | None, format: Any
) -> None:
    """Show a sweep: load and inference time, speed, memory, status and notes per model.

    SWEEP is a name, a number or a uid prefix (default: the latest). --guide writes a model loading
    reference from the measurements: classes, versions, number types, prompt and image formats,
    failed and successful variants, and code that loads each model.
    """
    from runner import paths
    from runner.database.liveness import gone_since
    from runner.database.reader import Reader
    from runner.database.score_reader import model_scores
    from runner.text.sanitize import strip_control_characters
    from runner.view import tables
    from runner.view.formats import write_grid
    from runner.view.sweep_state import gone_message

    with Reader(paths.database_path(db)) as reader:
        chosen = reader.sweep(sweep)
        number = chosen["id"]
        if guide:
            from runner.report import write_guide

            write_guide.write_guide(reader, number, format, sys.stdout)
            return
        if scores:
            shown = tables.scores_table(model_scores(reader, number))
        elif runs:
            shown = tables.results(reader.results(number))
        else:
            shown = tables.summary_table(reader.summary(number))
        since = gone_since(reader, chosen)
    write_grid(shown, format or "table", sys.stdout)
    if since:
        click.echo(strip_control_characters(gone_message(chosen, since)), err=True)


@click.command(short_help="List the stored sweeps.")
@database
@formats
def sweeps(db: Path | None, format: Any) -> None:
    """List the stored sweeps, the latest first."""
    from runner import paths
    from runner.database.reader import Reader
    from runner.view import tables
    from runner.view.formats import write_grid

    with Reader(paths.database_path(db)) as reader:
        write_grid(tables.sweeps(reader.sweeps()), format or "table", sys.stdout)
