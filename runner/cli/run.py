"""The commands that run sweeps: demo, run and resume."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .options import (
    database,
    listener_options,
    log_option,
    resource_options,
    sweep_options,
    to_supervisor_limits,
    to_sweep_request,
)
from .output import event_output

if TYPE_CHECKING:
    from runner.api import SweepResult


@click.command(short_help="Run models over images, now.")
@sweep_options
@resource_options
@listener_options
@log_option
@database
@click.option("--json", is_flag=True, help="Print the event stream, a JSON object a line.")
@click.option("-q", "--quiet", is_flag=True, help="Print the table at the end only.")
@click.option("--strict", is_flag=True, help="Do not start when jobs would fail (see plan).")
@click.pass_context
def run(
    ctx: click.Context, /, db: Path | None, json: bool, quiet: bool, strict: bool, **given: Any
) -> None:
    """Run models over images: a SWEEP_FILE (YAML or TOML), options, or both.

    Options are laid over the file: -m, -i and -p replace its lists, the others its settings.
    Without -p, "Describe this image." is asked. Every run is stored as it ends.

    \b
    vlmsweep run -m HuggingFaceTB/SmolVLM-500M-Instruct -m ./mine -i photos/
    vlmsweep run sweep.yaml --load-limit 120

    Exit codes: 0 all ok, 1 some jobs are not, 2 usage or sweep file, 3 database, 70 internal
    error, 130 interrupted (Ctrl-C once: after the run in hand; twice: at once).
    """
    from runner import api, paths
    from runner.planning import request

    plan, place, limits = (
        request.build_plan(to_sweep_request(given)),
        paths.database_path(db),
        to_supervisor_limits(given),
    )
    with event_output(place, given, json=json, quiet=quiet) as emit:
        swept = api.run(plan, place, emit, limits=limits, strict=strict)
    ctx.exit(print_summary(ctx, swept, table=not json))


@click.command(short_help="Run what is missing of a sweep, or failed in it.")
@click.argument("sweep", required=False)
@resource_options
@listener_options
@log_option
@database
@click.option("--json", is_flag=True, help="Print the event stream, a JSON object a line.")
@click.option("-q", "--quiet", is_flag=True, help="Print the table at the end only.")
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

    SWEEP is its name, number or the beginning of its uid; the latest by default. What ended ok
    is not run again, and each further try is a run of its own. Exit codes are those of run.
    """
    from runner import api, paths
    from runner.database.reader import Reader

    place, limits = paths.database_path(db), to_supervisor_limits(given)
    with Reader(place) as reader:
        number = reader.sweep(sweep)["id"]
    with event_output(place, given, json=json, quiet=quiet) as emit:
        swept = api.resume(place, number, emit, limits=limits)
    ctx.exit(print_summary(ctx, swept, table=not json))


def print_summary(ctx: click.Context, swept: SweepResult, *, table: bool) -> int:
    """The guide's table, where it is all stored, and what to ask next; returns the exit code."""
    from runner import api, paths
    from runner.database.reader import Reader
    from runner.view import tables
    from runner.view.formats import write

    with Reader(swept.database) as reader:
        rows = reader.summary(swept.id)
    if table:
        write(tables.summary_table(rows), "table", sys.stdout)
        there = click.format_filename(swept.database)
        given = ctx.get_parameter_source("db") is ParameterSource.COMMANDLINE
        db = f" --db {shlex.quote(there)}" if given else ""
        click.echo(f"\nStored in {there}. Ask it:")
        called = paths.shell_command_name()
        click.echo(f"  {called} show --runs{db}")
        query = "select model, avg(latency_s) from results group by 1"
        click.echo(f'  {called} sql "{query}"{db}')
        if swept.state == "interrupted":
            click.echo(f"Go on with what is missing:\n  {called} resume {swept.id}{db}")
    return api.exit_code(swept.state, rows)


@click.command(short_help="See a small model answer questions, offline.")
@database
@click.option("--json", is_flag=True, help="Print the event stream, a JSON object a line.")
@log_option
@click.pass_context
def demo(ctx: click.Context, /, db: Path | None, json: bool) -> None:
    """See a small embedded model answer questions about sample images. Needs no network.

    Exit code 0 when every job ran and every answer was right, else 1.
    """
    from runner import api, paths
    from runner.commands import demo as show
    from runner.commands import demo_view
    from runner.database.reader import Reader
    from runner.errors import EXIT_JOBS_FAILED
    from runner.notify import listeners
    from runner.view import sinks
    from runner.view.formats import write

    plan = show.plan()
    show.check_packages()
    how = sinks.choose_mode(sys.stdout, json=json, quiet=False)
    place = paths.database_path(db)
    with (
        sinks.open_sink(how, sys.stdout, sys.stderr) as view,
        listeners.attach_listeners(view, place, listeners.ListenerOptions()) as emit,
    ):
        swept = api.run(plan, place, emit)
    with Reader(swept.database) as reader:
        checked = show.check(reader.scored_jobs(swept.id))
    score = show.score(checked)
    if json:
        for event in show.score_events(checked):
            view(event)
    else:
        write(demo_view.demo_table(checked), "table", sys.stdout)
        click.echo(f"\n{score.right} of {score.asked} right\n")
    code = print_summary(ctx, swept, table=not json)
    if not json:
        click.echo(
            f"Then try your own images:\n  {paths.shell_command_name()} run -m demo -i IMAGES/"
        )
    ctx.exit(code or (0 if score.right == score.asked else EXIT_JOBS_FAILED))
