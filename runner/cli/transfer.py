"""The commands that carry history elsewhere and back: export, import and issue."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import database, formats

FORMATS = ("jsonl", "csv", "parquet", "bundle")


@click.command(short_help="Write a sweep to a file, for other programs or machines.")
@click.argument("sweep", required=False)
@click.option("--format", "kind", type=click.Choice(FORMATS), help="By -o's ending, else jsonl.")
@click.option("--bundle", "kind", flag_value="bundle", help="The same as --format bundle.")
@click.option(
    "--no-images",
    "no_images",
    is_flag=True,
    help="Leave the images out of a bundle.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File to write. By default rows go to standard output, a bundle to UID.zip.",
)
@database
def export(
    sweep: str | None, kind: str | None, no_images: bool, output: Path | None, db: Path | None
) -> None:
    """Write a SWEEP (name, number, uid or its beginning; the latest by default) to a file.

    \b
    vlmsweep export --format csv -o night.csv     # jsonl, csv, parquet: a row for each run
    vlmsweep export demo --bundle -o demo.zip     # all of it, to be imported elsewhere

    A bundle holds every row, the images as models got them, the logs, the environments, and a
    sweep file pinned to what ran: in the unpacked bundle, vlmsweep run sweep.yaml runs it again.
    It is meant for others to read, and names the paths your images lay at.
    """
    from runner import paths
    from runner.database.reader import Reader
    from runner.text.file_format import format_from_name
    from runner.transfer import bundle_writer, flat_rows, view

    place = paths.database_path(db)
    kind = kind or format_from_name(output, flat_rows.SUFFIXES, "jsonl")
    with Reader(place) as reader:
        found = reader.sweep(sweep)
        if kind != "bundle":
            if no_images:
                raise click.UsageError("--no-images is for bundles: rows hold no images")
            flat_rows.write_rows(flat_rows.flat_rows(reader, found["id"]), kind, output, place)
            return
    target = output or Path(f"{found['uid']}.zip")
    done = bundle_writer.write(place, found["uid"], target, images=not no_images)
    click.echo(view.describe_bundle(done), err=True)


@click.command("import", short_help="Add sweeps from bundles or other databases.")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@database
@formats
@click.pass_context
def import_(ctx: click.Context, /, files: tuple[Path, ...], db: Path | None, format: Any) -> None:
    """Add the sweeps of bundles, or of whole databases (.db), to the history.

    \b
    vlmsweep import from-the-mac.zip colleague.db

    What is here already is not added again, so a file may be imported twice, and a sweep that
    went on brings what is new. Where both have the same attempt at the same job with other
    content, ours is kept and the table says so. What is still running there stays behind. The
    files are not changed; a file that is damaged or not what it says changes nothing here.

    Exit codes: 0 all is here now, 1 something was left out, 2 a file cannot be used.
    """
    from runner import paths
    from runner.transfer import importer, view
    from runner.view.formats import write

    done, failed = importer.import_all(paths.database_path(db), files)
    if done:
        write(view.import_table(done), format or "table", sys.stdout)
        if format in (None, "table"):
            click.echo(f"\n{view.files(done)}")
    if failed is not None:
        raise failed
    ctx.exit(0 if view.is_complete(done) else 1)
