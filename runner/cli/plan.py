"""The commands that prepare a sweep: plan and fetch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import database, formats, sweep_options, to_sweep_request


@click.command(short_help="Show what run would do and which problems it would have.")
@sweep_options
@database
@click.option("--strict", is_flag=True, help="Exit with code 2 if jobs would fail.")
@formats
def plan(format: Any, db: Path | None, strict: bool, **given: Any) -> None:
    """Show what `run` would do with the same arguments and which problems it would have.

    Nothing runs. Checks model and image files, packages, memory, disk, servers and their API keys;
    unless offline, the hub is queried for models that are not in the cache. The expected duration
    comes from the history.

    \b
    --json prints one object; --nl, --csv and --tsv print a row per model.
    Exit code 2, with a list of all problems, if it could not run.
    """
    from runner import paths
    from runner.planning import preview, request
    from runner.preflight import run, view
    from runner.view import tables
    from runner.view.formats import as_json, write_grid

    wanted = request.build_plan(to_sweep_request(given))
    seen, found = preview.preview(wanted), run.run_preflight(wanted, paths.database_path(db))
    if format == "json":
        click.echo(as_json(seen.as_dict() | found.as_dict()))
    else:
        write_grid(tables.plan_table(seen), format or "table", sys.stdout)
    if format in (None, "table"):
        click.echo("\n" + "\n".join(tables.plan_lines(seen)) + "\n")
        view.draw_report(found, sys.stdout)
    if strict:
        run.raise_on_problems(found)


@click.command(short_help="Download a sweep's models and create its environments.")
@sweep_options
@click.option("--json", is_flag=True, help="Print the event stream, one JSON object per line.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the table at the end.")
@click.pass_context
def fetch(ctx: click.Context, /, json: bool, quiet: bool, **given: Any) -> None:
    """Download the models and create the environments that `run` needs with the same arguments.

    Models are downloaded in sequence, each within its download limit. Complete files are
    not downloaded again. No image is needed, and no model is loaded.

    \b
    vlmsweep fetch -m HuggingFaceTB/SmolVLM2-500M-Video-Instruct

    Exit codes: 0 everything is available, 1 a model or environment failed, 2 usage, sweep file or
    not enough disk space, 130 interrupted.
    """
    from runner.commands.fetch import fetch_models
    from runner.errors import EXIT_JOBS_FAILED
    from runner.planning import request
    from runner.view import sinks, tables
    from runner.view.formats import write_grid

    wanted = request.build_plan(to_sweep_request(given, models_only=True))
    how = sinks.choose_mode(sys.stdout, json=json, quiet=quiet)
    with sinks.open_sink(how, sys.stdout, sys.stderr) as emit:
        done = fetch_models(wanted, emit)
    if not done and not json:
        click.echo("nothing to fetch: no model comes from the hub")
    elif not json:
        write_grid(tables.fetch_table(done), "table", sys.stdout)
    ctx.exit(EXIT_JOBS_FAILED if any(one.message for one in done) else 0)
