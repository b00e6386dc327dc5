"""The commands that read: show, sql, sweeps and models. None of them can write anything."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import SECONDS, database, formats, parameters, parquet


@click.command(short_help="Show a sweep: a line per model, or per job with --runs.")
@click.argument("sweep", required=False)
@click.option("--runs", is_flag=True, help="A row per job instead of a row per model.")
@click.option("--scores", is_flag=True, help="A row per model and metric, with 95% intervals.")
@click.option("--guide", is_flag=True, help="How each model was loaded: Markdown or JSON.")
@database
@formats
def show(
    sweep: str | None, runs: bool, scores: bool, guide: bool, db: Path | None, format: Any
) -> None:
    """Show a sweep's table: load and inference time, speed, memory, status and notes per model.

    SWEEP is a name, a number, a uid or its beginning; without it the latest is shown. --guide
    writes a model loading reference from what was measured: classes, versions, number types,
    prompt and image forms, what failed and what worked, and code that loads it by hand.
    """
    from runner import paths
    from runner.database.reader import Reader
    from runner.database.score_reader import model_scores
    from runner.view import tables
    from runner.view.formats import write

    with Reader(paths.database_path(db)) as reader:
        number = reader.sweep(sweep)["id"]
        if guide:
            from runner.report import write_guide

            write_guide.write(reader, number, format, sys.stdout)
            return
        if scores:
            shown = tables.scores(model_scores(reader, number))
        elif runs:
            shown = tables.results(reader.results(number))
        else:
            shown = tables.summary(reader.summary(number))
    write(shown, format or "table", sys.stdout)


@click.command(short_help="Ask the database a question in SQL, read-only.")
@click.argument("query")
@parameters
@click.option(
    "--limit-s",
    type=SECONDS,
    default=30.0,
    metavar="S",
    show_default=True,
    help="Longest time it may take.",
)
@parquet
@database
@formats
def sql(
    query: str,
    given: tuple[tuple[str, str], ...],
    limit_s: float,
    file: Path | None,
    db: Path | None,
    format: Any,
) -> None:
    """Ask the database an SQL QUERY, read-only. With - the query is read from standard input.

    Prints a table on a terminal and JSON into a pipe, unless told otherwise. The views made
    for people are results (a row per job) and summary (a row per model and sweep);
    vlmsweep schema tells all there is.

    \b
    vlmsweep sql "select model, avg(latency_s) from results group by 1"
    vlmsweep sql "select image, text from results where model = :m" -p m demo --csv
    """
    from runner import paths
    from runner.database.reader import Reader, parse_parameters
    from runner.view import tables
    from runner.view.formats import write_or_save

    if query == "-":
        query = sys.stdin.read()
    with Reader(paths.database_path(db), limit_s) as reader:
        answer = reader.query(query, parse_parameters(given))
        write_or_save(
            tables.query_table(answer),
            format or ("table" if sys.stdout.isatty() else "json"),
            sys.stdout,
            file,
        )


@click.command(short_help="List the sweeps stored.")
@database
@formats
def sweeps(db: Path | None, format: Any) -> None:
    """List the sweeps that are stored, the latest first."""
    from runner import paths
    from runner.database.reader import Reader
    from runner.view import tables
    from runner.view.formats import write

    with Reader(paths.database_path(db)) as reader:
        write(tables.sweeps(reader.sweeps()), format or "table", sys.stdout)


@click.command(short_help="List the model families known, or --check one model.")
@click.option("--check", metavar="ID", help="Say whether this hub id or folder can run here now.")
@click.pass_context
@formats
def models(ctx: click.Context, check: str | None, format: Any) -> None:
    """List the families of models that are known, how each is loaded, and what is in the cache.

    With --check, say what is known of one model and what is missing; exit code 1 when something
    is.
    """
    from runner.planning import family_info
    from runner.view import tables
    from runner.view.formats import write

    if check is None:
        write(tables.families(family_info.list_families()), format or "table", sys.stdout)
        return
    found = family_info.check(check)
    write(tables.check(found), format or "table", sys.stdout)
    ctx.exit(1 if found["problem"] or found["missing_packages"] else 0)
