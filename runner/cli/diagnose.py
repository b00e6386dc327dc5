"""The commands that say whether a night can be trusted to this machine: doctor and chaos."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import database, formats


@click.command(short_help="Say what this machine can isolate, kill and measure.")
@click.option("--devices", is_flag=True, help="Ask the engines for devices too; takes some time.")
@database
@formats
@click.pass_context
def doctor(ctx: click.Context, /, devices: bool, db: Path | None, format: Any) -> None:
    """Say what this machine can isolate, kill and measure, each seen by trying it.

    \b
    in force  was seen to work
    not here  this machine does without, and what that means
    problem   to be put right before a night is trusted to it

    Rows have the keys area, check, state and detail. Exit code 0 when nothing is a problem,
    else 1. Nothing is changed, and no secret is shown.
    """
    from runner import doctor, paths
    from runner.doctor import view
    from runner.errors import DatabaseError
    from runner.view.formats import write

    try:
        target: Path | DatabaseError = paths.database_path(db)
    except DatabaseError as error:  # a problem to report, not the end of the checks
        target = error
    found = doctor.run_checks(target, devices, sys.stdout)
    if format in (None, "table"):
        view.draw(found, sys.stdout)
    else:
        write(view.checks_table(found), format, sys.stdout)
    ctx.exit(0 if doctor.healthy(found) else 1)


@click.command(short_help="Try faults on purpose, and say what was survived.")
@click.option("--quick", is_flag=True, help="Shorter limits, and without the slowest fault.")
@click.option("--fault", "names", multiple=True, metavar="NAME", help="Try this one only.")
@formats
@click.pass_context
def chaos(ctx: click.Context, /, quick: bool, names: tuple[str, ...], format: Any) -> None:
    """Let workers misbehave on purpose, and say what was survived.

    Real supervisors, shims and processes, on a temporary database and without any model: hangs,
    crashes, daemons that hide, floods, garbage, and a supervisor that is killed. A fault is
    survived when its run ends as it should, no process is left, and the job after it is done.

    Rows have the keys fault, title, expected, got, phase, kill_s, survivors, next_ok, took_s,
    survived and why. Exit code 0 when all were survived, else 1.
    """
    from runner.chaos import catalogue, runner, view
    from runner.chaos.progress_line import ProgressLine
    from runner.view.formats import write

    if unknown := set(names) - set(catalogue.NAMES):
        known = ", ".join(catalogue.NAMES)
        raise click.BadParameter(f"no such fault: {', '.join(sorted(unknown))} (there are {known})")
    chosen = catalogue.select_faults(quick, names)
    with ProgressLine(len(chosen), sys.stderr) as ticker:
        verdicts = runner.run(chosen, quick, ticker)
    write(view.verdicts(verdicts), format or "table", sys.stdout)
    survived = sum(verdict.survived for verdict in verdicts)
    if format in (None, "table"):
        click.echo(f"\n{survived} of {len(verdicts)} survived")
    ctx.exit(0 if survived == len(verdicts) else 1)
