"""The command about models: models."""

from __future__ import annotations

import sys
from typing import Any

import click

from .options import formats


@click.command(short_help="List the supported model families, or --check one model.")
@click.option(
    "--check",
    metavar="ID",
    help="Report whether this hub id or folder can run on this machine now.",
)
@click.pass_context
@formats
def models(ctx: click.Context, check: str | None, format: Any) -> None:
    """List the supported model families, how each is loaded, and the models in the cache.

    With --check, report on one model and its requirements; exit code 1 if it cannot run.
    """
    from runner.planning import family_info
    from runner.view import tables
    from runner.view.formats import write_grid

    if check is None:
        write_grid(tables.families(family_info.list_families()), format or "table", sys.stdout)
        return
    found = family_info.check_model(check)
    write_grid(tables.model_check_table(found), format or "table", sys.stdout)
    ctx.exit(1 if found["problem"] or found["missing_packages"] else 0)
