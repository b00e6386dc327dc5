"""The commands that see to it that a sweep can run: plan and fetch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import database, formats, sweep_options, to_sweep_request


@click.command(short_help="Say what run would do, and what would go wrong.")
@sweep_options
@database
@click.option("--strict", is_flag=True, help="Exit with 2 when jobs would fail.")
@formats
def plan(format: Any, db: Path | None, strict: bool, **given: Any) -> None:
    """Say what `run` would do with the same arguments, and what would go wrong, without doing it.

    Looked at: files of models and images, packages, memory, disk, servers and their keys; unless
    offline, the hub is asked about models that are not in the cache. How long it will take is
    known from history.

    \b
    --json gives all of it as one object; --nl, --csv and --tsv a row per model.
    Exit code 2, with every problem, when it could not run.
    """
    from runner import paths
    from runner.planning import preview, request
    from runner.preflight import run, view
    from runner.view import tables
    from runner.view.formats import as_json, write

    wanted = request.build_plan(to_sweep_request(given))
    seen, found = preview.preview(wanted), run.run_preflight(wanted, paths.database_path(db))
    if format == "json":
        click.echo(as_json(seen.as_dict() | found.as_dict()))
    else:
        write(tables.plan_table(seen), format or "table", sys.stdout)
    if format in (None, "table"):
        click.echo("\n" + "\n".join(tables.plan_lines(seen)) + "\n")
        view.draw(found, sys.stdout)
    if strict:
        run.raise_on_problems(found)


@click.command(short_help="Fetch a sweep's models and make its environments, ahead.")
@sweep_options
@click.option("--json", is_flag=True, help="Print the event stream, a JSON object a line.")
@click.option("-q", "--quiet", is_flag=True, help="Print the table at the end only.")
@click.pass_context
def fetch(ctx: click.Context, /, json: bool, quiet: bool, **given: Any) -> None:
    """Fetch what `run` would need with the same arguments: models from the hub, environments.

    One model after another, each within its download limit; what is there already is looked
    through and not fetched again. No image is needed or prepared, and no model loaded.

    \b
    vlmsweep fetch -m HuggingFaceTB/SmolVLM2-500M-Video-Instruct

    Exit codes: 0 all is there, 1 something could not be fetched or made, 2 usage, sweep file or
    no room on the disk, 130 interrupted.
    """
    from runner.commands.fetch import fetch_models
    from runner.errors import EXIT_JOBS_FAILED
    from runner.planning import request
    from runner.view import sinks, tables
    from runner.view.formats import write

    wanted = request.build_plan(to_sweep_request(given, models_only=True))
    how = sinks.choose_mode(sys.stdout, json=json, quiet=quiet)
    with sinks.open_sink(how, sys.stdout, sys.stderr) as emit:
        done = fetch_models(wanted, emit)
    if not done and not json:
        click.echo("nothing to fetch: no model of it comes from the hub")
    elif not json:
        write(tables.fetch_table(done), "table", sys.stdout)
    ctx.exit(EXIT_JOBS_FAILED if any(one.message for one in done) else 0)
