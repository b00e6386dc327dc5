"""The command diff: compares two sweeps, days or versions."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from .options import database, formats

if TYPE_CHECKING:
    from runner.diff import Comparison

RATIO = click.FloatRange(min=1)


@click.command(short_help="Compare sweeps, days or versions; detect regressions.")
@click.argument("a")
@click.argument("b", required=False)
@click.option(
    "--slower",
    type=RATIO,
    default=1.2,
    show_default=True,
    metavar="X",
    help="Time ratio B/A that counts as a regression.",
)
@click.option(
    "--memory",
    type=RATIO,
    default=1.1,
    show_default=True,
    metavar="X",
    help="Memory ratio B/A that counts as a regression.",
)
@click.option("--texts", is_flag=True, help="Count changed texts as a regression too.")
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Jobs shown per kind of change; 0 for all.",
)
@click.option(
    "--markdown",
    "format",
    flag_value="markdown",
    help="The same as --md, for a comment on a pull request.",
)
@database
@formats
@click.pass_context
def diff(
    ctx: click.Context,
    /,
    a: str,
    b: str | None,
    slower: float,
    memory: float,
    texts: bool,
    limit: int,
    db: Path | None,
    format: Any,
) -> None:
    """Compare A with B, or with the latest sweep: answers, failures, speed, memory, versions.

    \b
    vlmsweep diff demo~1 demo            # a sweep: name, number or uid; ~1 is the one before
    vlmsweep diff 2026-11-20 2026-11-27  # the latest run of each job up to the end of that day
    vlmsweep diff transformers==5.22.0 transformers==5.23.0

    Jobs are paired by model, image content, prompt and repeat. A regression is a job that was ok
    in A and failed in B, a model whose whole interval of B/A is above --slower or --memory, or a
    score that dropped significantly (p below 0.05 over the paired questions).

    \b
    --json prints one object; --nl, --csv and --tsv print a row per job.
    Exit codes: 0 no regression, 1 a regression, 2 A or B is unknown or they share no job.
    """
    from runner import paths
    from runner.database.reader import Reader
    from runner.diff import Thresholds, compare_sides

    with Reader(paths.database_path(db)) as reader:
        found = compare_sides(reader, a, b, Thresholds(slower, memory, texts))
    print_comparison(found, format, limit)
    ctx.exit(1 if found.regression else 0)


def print_comparison(found: Comparison, format: str | None, limit: int) -> None:
    """Print a comparison in one of the formats."""
    from runner.view import formats as view_formats
    from runner.view.grid import grid

    if format == "json":
        click.echo(view_formats.as_json(found.as_dict()))
    elif format in ("markdown", "md"):
        from runner.diff import markdown_view

        click.echo(markdown_view.comparison_markdown(found, limit), nl=False)
    elif format in (None, "table"):
        from runner.diff import view

        view.write_comparison(found, sys.stdout, limit)
    else:
        view_formats.write_grid(
            grid(list(found.rows()), []), cast("view_formats.Format", format), sys.stdout
        )
