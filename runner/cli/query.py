"""The commands that query the database: history, search, sql and schema."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import COUNT, database, formats, parameters, parquet, query_limit

if TYPE_CHECKING:
    from runner.queries import NamedQuery


@click.command(
    "history",
    short_help="Run a named query: failures, slowest, ...",
    add_help_option=False,
)
@click.argument("name", required=False)
@click.option(
    "-h", "--help", "explain", is_flag=True, help="Show this help, or the help of query NAME."
)
@parameters
@click.option("--sql", "as_sql", is_flag=True, help="Print the query instead of its result.")
@query_limit
@parquet
@database
@formats
@click.pass_context
def history_command(
    ctx: click.Context,
    /,
    name: str | None,
    explain: bool,
    given: tuple[tuple[str, str], ...],
    as_sql: bool,
    limit_s: float,
    file: Path | None,
    db: Path | None,
    format: Any,
) -> None:
    """Run the query NAME, or list all queries; `NAME -h` shows the parameters of a query.

    Queries are SQL files. Put your own as NAME.sql into the folder `queries` of your settings, or
    into the folder VLMSWEEP_QUERIES. Your file replaces a built-in query of the same name.

    \b
    vlmsweep history failures
    vlmsweep history slowest -p limit 5 -p sweep nightly --csv
    vlmsweep history flaky --sql > my-flaky.sql
    """
    from runner import paths, queries
    from runner.text.sanitize import strip_control_characters

    if name is None:
        click.echo(ctx.get_help()) if explain else print_queries(format or "table", file)
        return
    query = queries.find_query(name, paths.queries_folder())
    if explain:
        click.echo(strip_control_characters(query.help_text()))
    elif as_sql:
        click.echo(strip_control_characters(query.sql), nl=False)
    else:
        print_answer(query, given, limit_s, paths.database_path(db), format or "table", file)


def print_queries(format: Any, file: Path | None) -> None:
    """Print the list of named queries, or write it to `file`."""
    from runner import paths, queries
    from runner.view import query_tables
    from runner.view.formats import write_or_save

    found = queries.list_queries(paths.queries_folder())
    write_or_save(query_tables.queries(found), format, sys.stdout, file)


def print_answer(
    query: NamedQuery,
    given: tuple[tuple[str, str], ...],
    limit_s: float,
    database_path: Path,
    format: Any,
    file: Path | None,
) -> None:
    """Run a named query; print its rows, or write them to `file`."""
    from runner.database.query_parameters import parse_parameters
    from runner.database.reader import Reader
    from runner.view import query_tables
    from runner.view.formats import write_or_save

    with Reader(database_path, limit_s) as reader:
        values = query.values(parse_parameters(given), lambda named: int(reader.sweep(named)["id"]))
        answer = reader.query(query.sql, values)
        write_or_save(query_tables.query_table(answer), format, sys.stdout, file)


@click.command(short_help="Run a read-only SQL query.")
@click.argument("query")
@parameters
@query_limit
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
    """Run an SQL QUERY on the database, read-only. With -, read the query from standard input.

    By default prints a table on a terminal and JSON into a pipe. The main views are results (a
    row per job) and summary (a row per model and sweep); `vlmsweep schema` describes all of
    them.

    \b
    vlmsweep sql "select model, avg(latency_s) from results group by 1"
    vlmsweep sql "select image, text from results where model = :m" -p m demo --csv
    """
    from runner import paths
    from runner.database.query_parameters import parse_parameters
    from runner.database.reader import Reader
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


@click.command(short_help="Find words in answers and prompts.")
@click.argument("words", nargs=-1, required=True)
@click.option(
    "--sweep", metavar="SWEEP", help="Search only this sweep: a name, a number or a uid prefix."
)
@click.option(
    "--limit",
    type=COUNT,
    default=20,
    metavar="N",
    show_default=True,
    help="Maximum number of prompts and of answers.",
)
@click.option("--fts", is_flag=True, help="WORDS are a query in SQLite's FTS5 syntax.")
@database
@formats
def search(
    words: tuple[str, ...],
    sweep: str | None,
    limit: int,
    fts: bool,
    db: Path | None,
    format: Any,
) -> None:
    """Find prompts and answers that contain all WORDS, in any order; the newest come first.

    Words match in any case and inflection (bicycle finds bicycles), with or without accents.
    Matches are in brackets. Partial answers of killed runs are searched too.

    \b
    vlmsweep search red bicycle
    vlmsweep search '"red bicycle" street' --sweep nightly
    vlmsweep search --fts 'bicycle NOT red'
    """
    from runner import paths
    from runner.database.reader import Reader
    from runner.database.search import search as find
    from runner.view import query_tables
    from runner.view.formats import write_grid

    with Reader(paths.database_path(db)) as reader:
        number = None if sweep is None else reader.sweep(sweep)["id"]
        rows = find(reader, " ".join(words), raw=fts, sweep=number, limit=limit)
    write_grid(query_tables.search_table(rows), format or "table", sys.stdout)


@click.command(short_help="Describe tables and columns.")
@click.argument("table", required=False)
@formats
def schema(table: str | None, format: Any) -> None:
    """List the tables and views of the database, or the columns of one TABLE with their meaning.

    Durations are in seconds, sizes in bytes, rates in tokens per second; unknown is NULL.
    """
    from runner.database import schema_docs
    from runner.view import query_tables, schema_view
    from runner.view.formats import write_grid

    rows = schema_docs.describe_tables() if table is None else schema_docs.describe_columns(table)
    if format in (None, "table"):
        (schema_view.draw_columns if table else schema_view.draw_tables)(rows, sys.stdout)
    else:
        write_grid(
            (query_tables.columns_table if table else query_tables.schema_table)(rows),
            format,
            sys.stdout,
        )
