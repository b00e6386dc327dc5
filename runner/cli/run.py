"""The commands that run sweeps: demo, run and resume."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .options import database, log_option, sweep_options, to_sweep_request
from .output import event_output
from .supervisor_options import listener_options, resource_options, to_supervisor_limits

if TYPE_CHECKING:
    from runner.api import SweepResult


@click.command(short_help="Run models over images, now.")
@sweep_options
@resource_options
@listener_options
@log_option
@database
@click.option("--json", is_flag=True, help="Print the event stream, one JSON object per line.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the table at the end.")
@click.option("--strict", is_flag=True, help="Do not start if jobs would fail (see plan).")
@click.pass_context
def run(
    ctx: click.Context, /, db: Path | None, json: bool, quiet: bool, strict: bool, **given: Any
) -> None:
    """Run models over images: a SWEEP_FILE (YAML or TOML), options, or both.

    Options override the file: -m, -i and -p replace its lists, the others its settings. The
    default prompt is "Describe this image." Every run is stored as soon as it ends.

    \b
    vlmsweep run -m HuggingFaceTB/SmolVLM-500M-Instruct -m ./mine -i photos/
    vlmsweep run sweep.yaml --load-limit 120

    Exit codes: 0 all jobs ok, 1 some jobs failed, 2 usage or sweep file, 3 database, 70 internal
    error, 130 interrupted (Ctrl-C once: finish the current runs; twice: stop at once).
    """
    from runner import api, paths
    from runner.planning import request

    plan, database_path, limits = (
        request.build_plan(to_sweep_request(given)),
        paths.database_path(db),
        to_supervisor_limits(given),
    )
    with event_output(database_path, given, json=json, quiet=quiet) as emit:
        swept = api.run(plan, database_path, emit, limits=limits, strict=strict)
    ctx.exit(print_summary(ctx, swept, table=not json))


@click.command(short_help="Run the missing and failed jobs of a sweep.")
@click.argument("sweep", required=False)
@resource_options
@listener_options
@log_option
@database
@click.option("--json", is_flag=True, help="Print the event stream, one JSON object per line.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the table at the end.")
@click.pass_context
def resume(
    ctx: click.Context,
    /,
    sweep: str | None,
    db: Path | None,
    json: bool,
    quiet: bool,
    **given: Any,
) -> None:
    """Run the jobs of a stored SWEEP that are missing or did not end ok.

    SWEEP is a name, a number or a uid prefix (default: the latest). Jobs that ended ok do not run
    again. Each new attempt is stored as its own run. Exit codes are those of run.
    """
    from runner import api, paths
    from runner.database.reader import Reader

    database_path, limits = paths.database_path(db), to_supervisor_limits(given)
    with Reader(database_path) as reader:
        number = reader.sweep(sweep)["id"]
    with event_output(database_path, given, json=json, quiet=quiet) as emit:
        swept = api.resume(database_path, number, emit, limits=limits)
    ctx.exit(print_summary(ctx, swept, table=not json))


def print_summary(ctx: click.Context, swept: SweepResult, *, table: bool) -> int:
    """Print the summary table, the database path and next commands; return the exit code."""
    from runner import api, paths
    from runner.database.reader import Reader
    from runner.view import tables
    from runner.view.formats import write_grid

    with Reader(swept.database) as reader:
        rows = reader.summary(swept.id)
    if table:
        write_grid(tables.summary_table(rows), "table", sys.stdout)
        there = click.format_filename(swept.database)
        given = ctx.get_parameter_source("db") is ParameterSource.COMMANDLINE
        db = f" --db {shlex.quote(there)}" if given else ""
        click.echo(f"\nStored in {there}. Query it:")
        called = paths.shell_command_name()
        click.echo(f"  {called} show --runs{db}")
        query = "select model, avg(latency_s) from results group by 1"
        click.echo(f'  {called} sql "{query}"{db}')
        if swept.state == "interrupted":
            click.echo(f"Run the missing jobs:\n  {called} resume {swept.id}{db}")
    return api.exit_code(swept.state, rows)


@click.command(short_help="Run a small built-in model, offline.")
@database
@click.option("--json", is_flag=True, help="Print the event stream, one JSON object per line.")
@log_option
@click.pass_context
def demo(ctx: click.Context, /, db: Path | None, json: bool) -> None:
    """Run a small built-in model on sample images. Needs no network.

    Exit code 0 if every job succeeded and every answer is right, otherwise 1.
    """
    from runner import api, paths
    from runner.commands import demo as show
    from runner.commands import demo_view
    from runner.database.reader import Reader
    from runner.errors import EXIT_JOBS_FAILED
    from runner.notify import listeners
    from runner.view import sinks
    from runner.view.formats import write_grid

    plan = show.plan()
    show.check_packages()
    how = sinks.choose_mode(sys.stdout, json=json, quiet=False)
    database_path = paths.database_path(db)
    with (
        sinks.open_sink(how, sys.stdout, sys.stderr) as view,
        listeners.attach_listeners(view, database_path, listeners.ListenerOptions()) as emit,
    ):
        swept = api.run(plan, database_path, emit)
        with Reader(swept.database) as reader:
            checked = show.check_answers(reader.scored_jobs(swept.id))
        for event in show.score_events(checked) if json else ():
            view(event)
    score = show.score(checked)
    if not json:
        write_grid(demo_view.demo_table(checked), "table", sys.stdout)
        click.echo(f"\n{score.right} of {score.asked} right\n")
    code = print_summary(ctx, swept, table=not json)
    if not json:
        click.echo(
            f"Then try your own images:\n  {paths.shell_command_name()} run -m demo -i IMAGES/"
        )
    ctx.exit(code or (0 if score.right == score.asked else EXIT_JOBS_FAILED))
