"""The commands that move sweeps between databases: export and import."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import database, formats

FORMATS = ("jsonl", "csv", "parquet", "bundle")


@click.command(short_help="Write a sweep to a file for other programs or machines.")
@click.argument("sweep", required=False)
@click.option(
    "--format",
    "kind",
    type=click.Choice(FORMATS),
    help="Default: by the file name of -o, else jsonl.",
)
@click.option("--bundle", "kind", flag_value="bundle", help="The same as --format bundle.")
@click.option(
    "--no-images",
    "no_images",
    is_flag=True,
    help="Write a bundle without images.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File to write. Default: standard output for rows, UID.zip for a bundle.",
)
@database
def export(
    sweep: str | None, kind: str | None, no_images: bool, output: Path | None, db: Path | None
) -> None:
    """Write a SWEEP (name, number, or uid prefix; default: the latest) to a file.

    \b
    vlmsweep export --format csv -o sweep.csv     # jsonl, csv, parquet: one row per run
    vlmsweep export demo --bundle -o demo.zip     # everything, for import elsewhere

    A bundle holds every row, the prepared images, the logs, the environments, and a sweep file
    pinned to the versions that ran: `vlmsweep run sweep.yaml` in the unpacked bundle repeats the
    sweep. It contains the original paths of your images.
    """
    from runner import paths
    from runner.database.reader import Reader
    from runner.text.file_format import format_from_name
    from runner.transfer import bundle_writer, flat_rows, view

    database_path = paths.database_path(db)
    kind = kind or format_from_name(output, flat_rows.SUFFIXES, "jsonl")
    with Reader(database_path) as reader:
        found = reader.sweep(sweep)
        if kind != "bundle":
            if no_images:
                raise click.UsageError(
                    "--no-images applies to bundles only: rows contain no images"
                )
            flat_rows.write_rows(
                flat_rows.flat_rows(reader, found["id"]), kind, output, database_path
            )
            return
    target = output or Path(f"{found['uid']}.zip")
    done = bundle_writer.write_bundle(database_path, found["uid"], target, images=not no_images)
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

    Rows that exist already are not added again: a file may be imported twice, and a sweep that
    continued elsewhere adds only its new rows. If both databases have the same attempt at a job
    with different content, the local row is kept and the table reports it. Unfinished runs are
    not imported. The files are not changed; a damaged or inconsistent file changes nothing.

    Exit codes: 0 everything was imported, 1 something was left out, 2 a file cannot be used.
    """
    from runner import paths
    from runner.transfer import importer, view
    from runner.view.formats import write_grid

    done, failed = importer.import_all(paths.database_path(db), files)
    if done:
        write_grid(view.import_table(done), format or "table", sys.stdout)
        if format in (None, "table"):
            click.echo(f"\n{view.files_line(done)}")
    if failed is not None:
        raise failed
    ctx.exit(0 if view.is_complete(done) else 1)
