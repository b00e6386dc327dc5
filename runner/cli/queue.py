"""The commands of the queue: queue with its subcommands, and start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .options import COUNT, database, formats, log_option, sweep_options, to_sweep_request
from .output import event_output
from .root import SuggestingGroup
from .supervisor_options import listener_options, resource_options, to_supervisor_limits

if TYPE_CHECKING:
    from collections.abc import Callable

SWEEP = click.argument("sweep", required=False)
MODEL = click.option("--model", metavar="NAME", help="This model of the sweep only.")
JOB = click.option("--job", type=COUNT, metavar="N", help="This job only, by its number.")


@click.group(
    cls=SuggestingGroup,
    invoke_without_command=True,
    short_help="Queue sweeps; list and change the queue.",
)
@database
@formats
@click.pass_context
def queue(ctx: click.Context, /, db: Path | None, format: Any) -> None:
    """Queue sweeps, and list or change the queue. Without a subcommand, list it.

    `vlmsweep start` runs the queue. All subcommands work while it runs, from any terminal. SWEEP
    is a name, a number or a uid prefix.

    Exit codes: 0 done, 2 no such sweep, model or job, 3 the database cannot be used.
    """
    if db is not None:  # `queue --db X list` means `queue list --db X`
        ctx.default_map = {name: {"db": db} for name in queue.commands}
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_queue, sweep=None, jobs=False, every=False, limit=200, db=db, format=format)


@queue.command("list", short_help="List queued and running sweeps.")
@click.argument("sweep", required=False)
@click.option("--jobs", is_flag=True, help="Show a row per unfinished job.")
@click.option("--all", "every", is_flag=True, help="With --jobs: include finished jobs.")
@click.option(
    "--limit",
    type=COUNT,
    default=200,
    metavar="N",
    show_default=True,
    help="Maximum number of jobs.",
)
@database
@formats
def list_queue(
    sweep: str | None, jobs: bool, every: bool, limit: int, db: Path | None, format: Any
) -> None:
    """List the queued and running sweeps in order, or a SWEEP's models, or its jobs.

    Remaining times are estimated from earlier runs of the same models.
    """
    from runner import paths
    from runner.database import queue_status
    from runner.database.reader import Reader
    from runner.view import queue_tables
    from runner.view.formats import write_grid

    with Reader(paths.database_path(db)) as reader:
        if sweep is None and not jobs:
            grid = queue_tables.sweeps(queue_status.queue_sweeps(reader))
        else:
            chosen = reader.sweep(sweep)
            grid = (
                queue_tables.jobs(queue_status.queue_jobs(reader, chosen, every, limit))
                if jobs
                else queue_tables.models_table(queue_status.queue_models(reader, chosen))
            )
    write_grid(grid, format or "table", sys.stdout)


@queue.command(short_help="Add a sweep.")
@sweep_options
@click.option(
    "--priority", type=int, default=0, metavar="N", show_default=True, help="Higher runs first."
)
@click.option("--after", metavar="SWEEP", help="Start only after that sweep has ended.")
@click.option("--at", metavar="HOUR", help="Earliest start: 23:00, or 2026-11-24 07:00.")
@click.option("--label", help="A label to group sweeps by.")
@database
@click.option("-q", "--quiet", is_flag=True, help="Do not print the progress of image preparation.")
@click.option("--strict", is_flag=True, help="Do not add it if jobs would fail (see plan).")
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

    Images are prepared and problems reported now, not when the sweep runs.
    """
    from datetime import UTC, datetime

    from runner import api, paths
    from runner.control import targets
    from runner.planning import parse_time, request
    from runner.system.timestamps import format_timestamp
    from runner.view import queue_tables, sinks

    database_path = paths.database_path(db)
    terms = {
        "priority": priority,
        "label": label,
        "not_before": format_timestamp(parse_time.parse(at, datetime.now(UTC))) if at else None,
        "after_sweep_id": targets.sweep(database_path, after) if after else None,
    }
    plan = request.build_plan(to_sweep_request(given))
    how = sinks.choose_mode(sys.stderr, json=False, quiet=quiet)
    with sinks.open_sink(how, sys.stderr, sys.stderr) as emit:
        added = api.enqueue(plan, database_path, emit, terms, strict=strict)
    click.echo(queue_tables.added_message(added))


def queue_action_command(name: str, short: str, done_word: str) -> Callable[[Any], Any]:
    """Return a decorator for a subcommand that acts on a sweep, a model or a job."""

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

            database_path = paths.database_path(db)
            reply = send_request(
                database_path, name, targets.resolve_target(database_path, sweep, model, job)
            )
            kind = "job" if job else "model" if model else "sweep"
            click.echo(queue_tables.changed_message(done_word, kind, reply))

        command.__doc__ = described.__doc__
        return queue.command(name, short_help=short)(command)

    return make


@queue_action_command("pause", "Pause a sweep, a model or a job.", "paused")
def pause() -> None:
    """Pause a SWEEP, a model or a job.

    The current run finishes; then its worker exits.
    """


@queue_action_command("resume", "Resume a paused sweep, model or job.", "resumed")
def resume() -> None:
    """Resume a paused SWEEP, model or job."""


@queue_action_command("cancel", "Cancel queued jobs and kill running ones.", "cancelled")
def cancel() -> None:
    """Cancel the queued jobs of a SWEEP, a model or a job, and kill its running ones.

    Each job gets a row that records it; `queue retry` queues it again.
    """


@queue.command(short_help="Queue failed and cancelled jobs again.")
@SWEEP
@MODEL
@JOB
@database
def retry(sweep: str | None, model: str | None, job: int | None, db: Path | None) -> None:
    """Queue the jobs of a SWEEP or a model that did not end ok, or one job, again.

    Images that were pruned are prepared again.
    """
    from runner import paths
    from runner.commands.retry import retry_jobs
    from runner.control import targets
    from runner.view import queue_tables

    database_path = paths.database_path(db)
    reply = retry_jobs(database_path, targets.resolve_target(database_path, sweep, model, job))
    click.echo(queue_tables.changed_message("queued again", "job", reply))


@queue_action_command("remove", "Delete jobs that never ran.", "removed")
def remove() -> None:
    """Delete jobs that never ran from the queue and the database.

    A SWEEP without any run is deleted completely.
    """


@queue.command(short_help="Change the order of the queue.")
@SWEEP
@MODEL
@JOB
@click.option("--first", "to", flag_value="first", help="Move before all others.")
@click.option("--last", "to", flag_value="last", help="Move after all others.")
@click.option("--before", metavar="OTHER", help="Move before that sweep, model or job.")
@click.option(
    "--priority", type=int, metavar="N", help="Set a sweep's priority; higher runs first."
)
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
    """Move a SWEEP, a model in it or a job first, last, or before another.

    Current runs are not interrupted.
    """
    from runner import paths
    from runner.control import targets
    from runner.control.client import send_request

    database_path = paths.database_path(db)
    send_request(
        database_path, "move", targets.move(database_path, sweep, model, job, to, before, priority)
    )
    click.echo("moved")


@click.command(short_help="Run the queue.")
@resource_options
@listener_options
@log_option
@click.option(
    "--until", metavar="HOUR", help="Do not start jobs expected to end after HOUR; stop at HOUR."
)
@click.option("--drain", is_flag=True, help="Exit when the queue is empty instead of waiting.")
@database
@click.option("--json", is_flag=True, help="Print the event stream, one JSON object per line.")
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
    """Run the queue: one sweep after another, each model loaded once, until stopped.

    Ctrl-C lets the current runs finish; a second one stops at once. Remaining jobs stay queued.
    Exit codes: 0 all jobs ok, 1 some jobs failed, 130 interrupted.
    """
    from datetime import UTC, datetime

    from runner import api, paths
    from runner.planning import parse_time

    database_path = paths.database_path(db)
    terms = to_supervisor_limits(
        given,
        until=parse_time.parse(until, datetime.now(UTC)) if until else None,
        stay=not drain,
    )
    with event_output(database_path, given, json=json, quiet=quiet) as emit:
        worked = api.work_queue(database_path, emit, terms)
    ctx.exit(api.queue_exit_code(worked))
