"""The commands watch and logs. They read the database and log files only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from .options import COUNT, database


@click.command(short_help="Watch running sweeps from any terminal.")
@click.argument("sweep", required=False)
@click.option("--once", is_flag=True, help="Show the current state once and exit.")
@database
@click.option("--json", is_flag=True, help="Print the event stream, one JSON object per line.")
def watch(sweep: str | None, once: bool, db: Path | None, json: bool) -> None:
    """Watch running sweeps: the live view of `run`, from any terminal and any number of them.

    Reads the database about three times per second and does not contact the supervisor. Without
    SWEEP it shows all running sweeps and then waits for the next; with SWEEP (a name, a number or
    a uid prefix) it exits when that sweep has ended. Ctrl-C exits without affecting the sweep.
    Exit code 0, or 2 for an unknown sweep.
    """
    from runner import paths
    from runner.view import sinks
    from runner.watch import watch_database

    database_path = paths.database_path(db)
    how = sinks.choose_mode(sys.stdout, json=json, quiet=False)
    with sinks.open_sink("still" if once and not json else how, sys.stdout, sys.stderr) as emit:
        watch_database(database_path, emit, sweep, once=once, gone=lambda: emit.reader_is_gone)


@click.command(short_help="Print a worker's log.")
@click.argument("worker", type=COUNT, required=False)
@click.option("-f", "--follow", is_flag=True, help="Print new output until the worker ends.")
@click.option("--sweep", metavar="SWEEP", help="The worker's sweep: name, number or uid prefix.")
@click.option("--stack", is_flag=True, help="Print the Python stack captured when it was killed.")
@click.option("-n", "--lines", type=COUNT, metavar="N", help="Print only the last N lines.")
@click.option("--raw", is_flag=True, help="Keep control characters, even on a terminal.")
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
    """Print the output of a worker and its libraries; the newest 8 to 16 MB of it are kept.

    WORKER is its number within its sweep, as in views and messages (default: the latest worker).
    Without --sweep, the sweep of the latest worker is used. On a terminal, control characters are
    removed.
    """
    from contextlib import suppress

    from runner import paths
    from runner.database.reader import Reader
    from runner.text.sanitize import strip_control_characters
    from runner.watch import worker_logs as kept

    database_path = paths.database_path(db)
    with Reader(database_path) as reader:
        found = kept.find(reader, sweep, worker)
    if stack:
        click.echo(strip_control_characters(kept.stack(found)), nl=False)
        return
    log = kept.log_path(found, database_path)
    click.echo(strip_control_characters(kept.title(found)), err=True)
    pieces = (
        kept.follow(log, lines, database_path, found["id"]) if follow else kept.tail(log, lines)
    )
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
