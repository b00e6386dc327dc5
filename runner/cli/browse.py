"""The command that shows the history in a web browser: browse."""

from __future__ import annotations

from pathlib import Path

import click

from .options import database


@click.command(short_help="Browse the history in a web browser.")
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port to serve at. [8001 or a free one]"
)
@click.option("--no-open", is_flag=True, help="Print the address only; do not open a browser.")
@database
@click.pass_context
def browse(ctx: click.Context, /, port: int | None, no_open: bool, db: Path | None) -> None:
    """Browse the history in a web browser with Datasette: tables, named queries, images.

    The server is read-only and listens on 127.0.0.1 only. It can run during a sweep. Stop it with
    Ctrl-C.
    Needs Datasette: pip install 'vlmsweep[browse]'

    Exit codes: 0 stopped by Ctrl-C, 2 Datasette is missing or the port is in use, 3 database error.
    """
    from runner import paths, web

    path = paths.database_path(db)

    def say(address: str) -> None:
        click.echo(f"{click.format_filename(path)} at {address}\nCtrl-C ends it.")

    ctx.exit(web.browse(path, port, not no_open, say))
