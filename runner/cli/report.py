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
    help="Output file; - is standard output. [report.html or report.md]",
)
@click.option(
    "--format",
    type=click.Choice(("html", "md")),
    help="An HTML page, or Markdown for a repository. [by file name, else html]",
)
@click.option("--images/--no-images", default=True, help="Include thumbnails of the images.")
@database
def report(
    sweep: str | None, output: Path | None, format: str | None, images: bool, db: Path | None
) -> None:
    """Write a report about a SWEEP: summary table, plots, every answer with its image, failures.

    SWEEP is a name, a number or a uid prefix (default: the latest). The HTML page is one
    self-contained file that needs no network. HTML needs the `report` extra; Markdown does not.

    \b
    vlmsweep report -o report.html
    vlmsweep report "tuesday" -o docs/tuesday.md
    """
    from runner import paths
    from runner.report import write

    message = write.write_report(paths.database_path(db), sweep, output, format, images)
    click.echo(message, err=output == Path("-"))
