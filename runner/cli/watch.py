"""The commands that look on: watch and logs. They read, and never talk to a supervisor."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from .options import database


@click.command(short_help="Look on while sweeps run, from any terminal.")
@click.argument("sweep", required=False)
@click.option("--once", is_flag=True, help="Show how it stands now, and leave.")
@database
@click.option("--json", is_flag=True, help="Print the event stream, a JSON object a line.")
def watch(sweep: str | None, once: bool, db: Path | None, json: bool) -> None:
    """Look on while sweeps run: the live view of run, from any terminal, as often as you like.

    It reads the database about three times a second and asks nothing of the supervisor. Without
    SWEEP it shows whatever runs, and goes on to the next; with a SWEEP (a name, a number, a uid
    or its beginning) it leaves when that has ended. Ctrl-C leaves, and disturbs nothing. Exit
    code 0; 2 for an unknown sweep.
    """
    from runner import places, watching
    from runner.view import telling

    place = places.database(db)
    how = telling.mode(sys.stdout, json=json, quiet=False)
    with telling.telling("still" if once and not json else how, sys.stdout, sys.stderr) as tell:
        watching.watch(place, tell, sweep, once=once, gone=lambda: tell.broken)
