"""The commands that look on: watch and logs. They read, and never talk to a supervisor."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from .options import COUNT, database


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
    from runner import paths
    from runner.view import sinks
    from runner.watch import watch_database

    place = paths.database_path(db)
    how = sinks.choose_mode(sys.stdout, json=json, quiet=False)
    with sinks.open_sink("still" if once and not json else how, sys.stdout, sys.stderr) as emit:
        watch_database(place, emit, sweep, once=once, gone=lambda: emit.broken)


@click.command(short_help="Print what a worker printed.")
@click.argument("worker", type=COUNT, required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what it prints, until it ends.")
@click.option("--sweep", metavar="SWEEP", help="The worker's sweep: name, number or uid.")
@click.option("--stack", is_flag=True, help="Print the Python stack taken at its kill instead.")
@click.option("-n", "--lines", type=COUNT, metavar="N", help="The last lines only.")
@click.option("--raw", is_flag=True, help="As it was printed, even on a terminal.")
@database
def logs(
    worker: int | None,
    follow: bool,
    sweep: str | None,
    stack: bool,
    lines: int | None,
    raw: bool,
    db: Path | None,
) -> None:
    """Print what a worker and its libraries printed; the newest 8 to 16 MB of it are kept.

    WORKER is its number in its sweep, as the views and messages give it; without it the worker
    that was started last is meant. Without --sweep, the sweep is the one that worker is of. On a
    terminal what would steer it is left out.
    """
    from contextlib import suppress

    from runner import paths
    from runner.database.reader import Reader
    from runner.text.sanitize import strip_control_characters
    from runner.watch import worker_logs as kept

    place = paths.database_path(db)
    with Reader(place) as reader:
        found = kept.find(reader, sweep, worker)
    if stack:
        click.echo(strip_control_characters(kept.stack(found)), nl=False)
        return
    log = kept.log_path(found, place)
    state = "ended" if found["ended_at"] else "running"
    click.echo(
        strip_control_characters(
            f"Worker {found['number']} of {found['sweep']}: {found['model']}, {state}"
        ),
        err=True,
    )
    pieces = kept.follow(log, lines, place, found["id"]) if follow else kept.tail(log, lines)
    with suppress(KeyboardInterrupt):
        print_pieces(pieces, raw=raw or not sys.stdout.isatty())


def print_pieces(pieces: Iterator[bytes], *, raw: bool) -> None:
    """Print a log: all its bytes, or lines that are safe on a terminal."""
    from runner.watch.worker_logs import terminal_lines

    if raw:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
    else:
        for line in terminal_lines(pieces):
            sys.stdout.write(line)
            sys.stdout.flush()
