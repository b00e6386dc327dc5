"""The command that shows the history in a web browser: browse."""

from __future__ import annotations

from pathlib import Path

import click

from .options import database


@click.command(short_help="Look through the history in a web browser.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port to serve at. [8001 or a free one]"
)
@click.option("--no-open", is_flag=True, help="Say the address only, open no browser.")
@database
@click.pass_context
def browse(ctx: click.Context, /, port: int | None, no_open: bool, db: Path | None) -> None:
    """Look through the history in a web browser, by Datasette: tables, named queries, images.

    Serves this machine only (127.0.0.1), read-only, also while a sweep runs; Ctrl-C ends it.
    Needs Datasette: pip install 'vlmsweep[browse]'

    Exit codes: 0 ended by Ctrl-C, 2 no Datasette or the port is taken, 3 the database.
    """
    from runner import paths, web

    place = paths.database_path(db)

    def say(address: str) -> None:
        click.echo(f"{click.format_filename(place)} at {address}\nCtrl-C ends it.")

    ctx.exit(web.browse(place, port, not no_open, say))
