"""The commands that look after what is stored: prune and backup."""

from __future__ import annotations

from pathlib import Path

import click

from .options import PLACE, database

KINDS = ("logs", "images", "samples")


@click.command(short_help="Delete old logs, prepared images and memory samples.")
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    default=30.0,
    metavar="N",
    show_default=True,
    help="Of sweeps that ended longer ago than this.",
)
@click.option(
    "--only", type=click.Choice(KINDS), multiple=True, help="These only; may be given again."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@database
def prune(days: float, only: tuple[str, ...], dry_run: bool, db: Path | None) -> None:
    """Delete old logs, prepared images and memory samples. Runs are never deleted.

    Images are prepared again when they are needed; until then reports show none of them. What a
    job that waits needs is kept. Safe while a supervisor works.
    """
    from datetime import UTC, datetime, timedelta

    from runner import paths
    from runner.commands.prune import prune_files
    from runner.text import units

    before = datetime.now(UTC) - timedelta(days=days)
    done = prune_files(paths.database_path(db), before, only or KINDS, dry_run)
    click.echo(
        f"{'would delete' if dry_run else 'deleted'} {units.pluralize(done.logs, 'log')}"
        f" ({units.size(done.log_bytes)}), {units.pluralize(done.images, 'image file')}"
        f" ({units.size(done.image_bytes)}), {units.pluralize(done.samples, 'memory sample')}"
    )


@click.command(short_help="Copy the database, also while it is written.")
@click.argument("copy", type=PLACE)
@click.option("--replace", is_flag=True, help="Write over a file that is there.")
@database
def backup(copy: Path, replace: bool, db: Path | None) -> None:
    """Copy the database to COPY, whole, packed and checked, also while a supervisor works.

    Images and logs beside it are not copied: `vlmsweep export --bundle` takes those along.
    """
    from runner import paths
    from runner.database.backup import backup as make
    from runner.text import units

    size = make(paths.database_path(db), copy.absolute(), replace)
    click.echo(f"{copy}: {units.size(size)}")
