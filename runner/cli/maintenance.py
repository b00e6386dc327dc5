"""The commands that maintain the database: prune and backup."""

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
    help="Delete data of sweeps that ended more than N days ago.",
)
@click.option(
    "--only", type=click.Choice(KINDS), multiple=True, help="Delete only this kind (repeatable)."
)
@click.option("--dry-run", is_flag=True, help="List the rows to delete; delete nothing.")
@database
def prune(days: float, only: tuple[str, ...], dry_run: bool, db: Path | None) -> None:
    """Delete old logs, prepared images and memory samples. Runs are never deleted.

    Images are prepared again when they are needed; until then reports do not show them. Files
    that queued jobs need are kept. Safe while a supervisor runs.
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


@click.command(short_help="Copy the database, also during a sweep.")
@click.argument("copy", type=PLACE)
@click.option("--replace", is_flag=True, help="Overwrite an existing file.")
@database
def backup(copy: Path, replace: bool, db: Path | None) -> None:
    """Copy the database to COPY, compacted and checked, also while a supervisor runs.

    Images and logs are not copied; `vlmsweep export --bundle` includes them.
    """
    from runner import paths
    from runner.database.backup import backup as make
    from runner.text import units

    size = make(paths.database_path(db), copy.absolute(), replace)
    click.echo(f"{copy}: {units.size(size)}")
