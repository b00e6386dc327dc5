"""The commands that test this machine and the supervisor: doctor and chaos."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import database, formats


@click.command(short_help="Check what this machine can isolate, kill and measure.")
@click.option("--devices", is_flag=True, help="Also list the devices of each engine (slow).")
@database
@formats
@click.pass_context
def doctor(ctx: click.Context, /, devices: bool, db: Path | None, format: Any) -> None:
    """Check what this machine can isolate, kill and measure, by trying each.

    \b
    ok           works on this machine
    unavailable  not on this system; the detail names the consequence
    problem      fix this before an unattended sweep

    Rows have the keys area, check, state and detail. Nothing is changed and no secret is printed.
    Exit code 0 if there is no problem, otherwise 1.
    """
    from runner import doctor, paths
    from runner.doctor import view
    from runner.errors import DatabaseError
    from runner.view.formats import write_grid

    try:
        target: Path | DatabaseError = paths.database_path(db)
    except DatabaseError as error:  # a problem to report, not the end of the checks
        target = error
    found = doctor.run_checks(target, devices, sys.stdout)
    if format in (None, "table"):
        view.draw_checks(found, sys.stdout)
    else:
        write_grid(view.checks_table(found), format, sys.stdout)
    ctx.exit(0 if doctor.healthy(found) else 1)


@click.command(short_help="Inject faults and report which are survived.")
@click.option("--quick", is_flag=True, help="Use shorter limits and skip the slowest fault.")
@click.option(
    "--fault", "names", multiple=True, metavar="NAME", help="Inject only this fault (repeatable)."
)
@formats
@click.pass_context
def chaos(ctx: click.Context, /, quick: bool, names: tuple[str, ...], format: Any) -> None:
    """Inject faults into workers and report which ones vlmsweep survives.

    Runs real supervisors, shims and processes on a temporary database, without any model: hangs,
    crashes, hidden daemons, floods of output, invalid output, and a killed supervisor. A fault is
    survived if its run ends as expected, no process is left, and the next job succeeds.

    Rows have the keys fault, title, expected, got, phase, kill_s, survivors, next_ok, took_s,
    survived and why. Exit code 0 if all faults were survived, otherwise 1.
    """
    from runner.chaos import catalogue, runner, view
    from runner.chaos.progress_line import ProgressLine
    from runner.view.formats import write_grid

    if unknown := set(names) - set(catalogue.NAMES):
        known = ", ".join(catalogue.NAMES)
        raise click.BadParameter(f"no such fault: {', '.join(sorted(unknown))} (there are {known})")
    chosen = catalogue.select_faults(quick, names)
    with ProgressLine(len(chosen), sys.stderr) as ticker:
        verdicts = runner.run(chosen, quick, ticker)
    write_grid(view.verdicts(verdicts), format or "table", sys.stdout)
    survived = sum(verdict.survived for verdict in verdicts)
    if format in (None, "table"):
        click.echo(f"\n{survived} of {len(verdicts)} survived")
    ctx.exit(0 if survived == len(verdicts) else 1)
