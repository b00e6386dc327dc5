"""The command that writes a report of a sweep."""

from __future__ import annotations

from pathlib import Path

import click

from .options import database


@click.command(short_help="Write a web page or a Markdown file about a sweep.")
@click.argument("sweep", required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Where to write it; - is standard output. [report.html or report.md]",
)
@click.option(
    "--format",
    type=click.Choice(("html", "md")),
    help="A page to open, or Markdown for a repository. [by the name of the file, else html]",
)
@click.option("--images/--no-images", default=True, help="Whether small images are inside.")
@database
def report(
    sweep: str | None, output: Path | None, format: str | None, images: bool, db: Path | None
) -> None:
    """Write a report about a SWEEP: the table, plots, every answer beside its image, failures.

    SWEEP is a name, a number, a uid or its beginning; without it the latest is told of. The page
    holds everything inside itself and opens without a network. It needs the report extra;
    Markdown does not.

    \b
    vlmsweep report -o report.html
    vlmsweep report "tuesday night" -o docs/tuesday.md
    """
    from runner import paths
    from runner.report import write

    told = write.write(paths.database_path(db), sweep, output, format, images)
    click.echo(told, err=output == Path("-"))
