"""The commands of the overnight queue: queue with its subcommands, and start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import (
    COUNT,
    database,
    formats,
    listener_options,
    log_option,
    resource_options,
    sweep_options,
    to_supervisor_limits,
    to_sweep_request,
)
from .output import event_output

if TYPE_CHECKING:
    from collections.abc import Callable

SWEEP = click.argument("sweep", required=False)
MODEL = click.option("--model", metavar="NAME", help="This model of the sweep only.")
JOB = click.option("--job", type=COUNT, metavar="N", help="This job only, by its number.")


@click.group(
    invoke_without_command=True, short_help="Queue sweeps for the night; change what waits."
)
@database
@formats
@click.pass_context
def queue(ctx: click.Context, /, db: Path | None, format: Any) -> None:
    """Queue sweeps for the night, and change what waits; alone, it lists them.

    `vlmsweep start` works the queue. All of this may be done while it does, from any terminal.
    SWEEP is a name, a number, a uid or its beginning.

    Exit codes: 0 done, 2 no such sweep, model or job, 3 the database cannot be used.
    """
    if db is not None:  # said before the subcommand, it is meant for that
        ctx.default_map = {name: {"db": db} for name in queue.commands}
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_queue, sweep=None, jobs=False, every=False, limit=200, db=db, format=format)


@queue.command("list", short_help="List what waits and runs.")
@click.argument("sweep", required=False)
@click.option("--jobs", is_flag=True, help="A row per job that is not done.")
@click.option("--all", "every", is_flag=True, help="With --jobs: those that are done, too.")
@click.option(
    "--limit", type=COUNT, default=200, metavar="N", show_default=True, help="Jobs shown."
)
@database
@formats
def list_queue(
    sweep: str | None, jobs: bool, every: bool, limit: int, db: Path | None, format: Any
) -> None:
    """List the sweeps that wait or run, in their order; or a SWEEP's models, or its jobs.

    Times left and ends are guessed from what the same models took before.
    """
    from runner import paths
    from runner.database import queue_status
    from runner.database.reader import Reader
    from runner.view import queue_tables
    from runner.view.formats import write

    with Reader(paths.database_path(db)) as reader:
        if sweep is None and not jobs:
            grid = queue_tables.sweeps(queue_status.queue_sweeps(reader))
        else:
            number = reader.sweep(sweep)["id"]
            grid = (
                queue_tables.jobs(queue_status.queue_jobs(reader, number, every, limit))
                if jobs
                else queue_tables.models(queue_status.queue_models(reader, number))
            )
    write(grid, format or "table", sys.stdout)


@queue.command(short_help="Add a sweep.")
@sweep_options
@click.option(
    "--priority", type=int, default=0, metavar="N", show_default=True, help="Higher goes first."
)
@click.option("--after", metavar="SWEEP", help="Not before that sweep has ended.")
@click.option("--at", metavar="HOUR", help="Not before 23:00, or 2026-11-24 07:00.")
@click.option("--label", help="A word to group sweeps by.")
@database
@click.option("-q", "--quiet", is_flag=True, help="Say nothing of the images.")
@click.option("--strict", is_flag=True, help="Do not add it when jobs would fail (see plan).")
def add(
    priority: int,
    after: str | None,
    at: str | None,
    label: str | None,
    db: Path | None,
    quiet: bool,
    strict: bool,
    **given: Any,
) -> None:
    """Add a sweep: a SWEEP_FILE, options, or both, as `vlmsweep run` takes them.

    Its images are prepared now, and what will go wrong is said now, not at three in the
    morning.
    """
    from datetime import UTC, datetime

    from runner import api, paths
    from runner.control import targets
    from runner.planning import parse_time, request
    from runner.system.timestamps import format_timestamp
    from runner.view import queue_tables, sinks

    place = paths.database_path(db)
    terms = {
        "priority": priority,
        "label": label,
        "not_before": format_timestamp(parse_time.parse(at, datetime.now(UTC))) if at else None,
        "after_sweep_id": targets.sweep(place, after) if after else None,
    }
    plan = request.build_plan(to_sweep_request(given))
    how = sinks.choose_mode(sys.stderr, json=False, quiet=quiet)
    with sinks.open_sink(how, sys.stderr, sys.stderr) as emit:
        added = api.enqueue(plan, place, emit, terms, strict=strict)
    click.echo(queue_tables.added_message(added))


def queue_action_command(name: str, short: str, said: str) -> Callable[[Any], Any]:
    """A subcommand that asks for an action on a sweep, a model of it, or a job."""

    def make(described: Any) -> Any:
        @SWEEP
        @MODEL
        @JOB
        @database
        def command(sweep: str | None, model: str | None, job: int | None, db: Path | None) -> None:
            from runner import paths
            from runner.control import targets
            from runner.control.client import send_request
            from runner.view import queue_tables

            place = paths.database_path(db)
            reply = send_request(place, name, targets.resolve_target(place, sweep, model, job))
            kind = "job" if job else "model" if model else "sweep"
            click.echo(queue_tables.changed_message(said, kind, reply))

        command.__doc__ = described.__doc__
        return queue.command(name, short_help=short)(command)

    return make


@queue_action_command("pause", "Hold a sweep, a model or a job back.", "paused")
def pause() -> None:
    """Hold a SWEEP, a model or a job back.

    A run in hand goes on to its end; then its worker leaves.
    """


@queue_action_command("resume", "Let go what was paused.", "resumed")
def resume() -> None:
    """Let go a SWEEP, a model or a job that was paused."""


@queue_action_command("cancel", "Give up what waits; kill what runs of it.", "cancelled")
def cancel() -> None:
    """Give up what waits of a SWEEP, a model or a job; what runs of it is killed.

    Each job keeps a row that says so, and `queue retry` takes it up again.
    """


@queue.command(short_help="Queue again what did not end ok.")
@SWEEP
@MODEL
@JOB
@database
def retry(sweep: str | None, model: str | None, job: int | None, db: Path | None) -> None:
    """Queue again what did not end ok of a SWEEP, a model, or one job.

    Images that were pruned since are prepared again.
    """
    from runner import paths
    from runner.commands.retry import retry_jobs
    from runner.control import targets
    from runner.view import queue_tables

    place = paths.database_path(db)
    reply = retry_jobs(place, targets.resolve_target(place, sweep, model, job))
    click.echo(queue_tables.changed_message("queued again", "job", reply))


@queue_action_command("remove", "Delete jobs that have never run.", "removed")
def remove() -> None:
    """Take jobs that have never run out of the queue and the database.

    Of a SWEEP none of which has run, nothing stays.
    """


@queue.command(short_help="Change the order.")
@SWEEP
@MODEL
@JOB
@click.option("--first", "to", flag_value="first", help="Before all others of its kind.")
@click.option("--last", "to", flag_value="last", help="After all others of its kind.")
@click.option("--before", metavar="OTHER", help="Before that sweep, model or job.")
@click.option("--priority", type=int, metavar="N", help="A sweep's priority; higher goes first.")
@database
def move(
    sweep: str | None,
    model: str | None,
    job: int | None,
    to: str | None,
    before: str | None,
    priority: int | None,
    db: Path | None,
) -> None:
    """Put a SWEEP, a model in it or a job first, last, or before another.

    What runs now is not interrupted by it.
    """
    from runner import paths
    from runner.control import targets
    from runner.control.client import send_request

    place = paths.database_path(db)
    send_request(place, "move", targets.move(place, sweep, model, job, to, before, priority))
    click.echo("moved")


@click.command(short_help="Work the queue.")
@resource_options
@listener_options
@log_option
@click.option("--until", metavar="HOUR", help="Begin no job that would end later; stop then.")
@click.option("--drain", is_flag=True, help="Leave when nothing is left, instead of waiting.")
@database
@click.option("--json", is_flag=True, help="Print the event stream, a JSON object a line.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing until the end.")
@click.pass_context
def start(
    ctx: click.Context,
    /,
    until: str | None,
    drain: bool,
    db: Path | None,
    json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Work the queue: sweep after sweep, each model loaded once, until told to stop.

    Ctrl-C lets the runs in hand finish; a second one stops at once. What waits stays queued.
    Exit codes: 0 all ok, 1 some jobs are not, 130 interrupted.
    """
    from datetime import UTC, datetime

    from runner import api, paths
    from runner.planning import parse_time

    place = paths.database_path(db)
    terms = to_supervisor_limits(
        given,
        until=parse_time.parse(until, datetime.now(UTC)) if until else None,
        stay=not drain,
    )
    with event_output(place, given, json=json, quiet=quiet) as emit:
        worked = api.work_queue(place, emit, terms)
    ctx.exit(api.queue_exit_code(worked))
