"""The command about models: models."""

from __future__ import annotations

import sys
from typing import Any

import click

from .options import formats


@click.command(short_help="List the model families known, or --check one model.")
@click.option("--check", metavar="ID", help="Say whether this hub id or folder can run here now.")
@click.pass_context
@formats
def models(ctx: click.Context, check: str | None, format: Any) -> None:
    """List the families of models that are known, how each is loaded, and what is in the cache.

    With --check, say what is known of one model and what is missing; exit code 1 when something
    is.
    """
    from runner.planning import family_info
    from runner.view import tables
    from runner.view.formats import write

    if check is None:
        write(tables.families(family_info.list_families()), format or "table", sys.stdout)
        return
    found = family_info.check(check)
    write(tables.check(found), format or "table", sys.stdout)
    ctx.exit(1 if found["problem"] or found["missing_packages"] else 0)
