"""The command service: prints a systemd or launchd unit that runs the queue."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from .options import database
from .supervisor_options import resource_options

HOUR = click.DateTime(["%H:%M"])


@click.command(short_help="Print a systemd or launchd unit that runs the queue.")
@click.option(
    "--for",
    "kind",
    type=click.Choice(["systemd", "launchd"]),
    default="launchd" if sys.platform == "darwin" else "systemd",
    show_default=True,
    help="The service manager.",
)
@click.option(
    "--at", type=HOUR, metavar="HH:MM", help="Start at this time each day. Default: run always."
)
@click.option("--until", type=HOUR, metavar="HH:MM", help="Stop at this time each day; needs --at.")
@click.option("--timer", is_flag=True, help="Print the timer unit for --at (systemd only).")
@resource_options
@database
def service(kind: str, at: Any, until: Any, timer: bool, db: Path | None, **given: Any) -> None:
    """Print a systemd user unit or a launchd agent that runs `vlmsweep start`.

    Nothing is installed; comments in the unit explain how to install and remove it.

    \b
    vlmsweep service > ~/.config/systemd/user/vlmsweep.service
    vlmsweep service --at 22:00 --until 07:00 > ...
    """
    from runner import paths
    from runner.commands import service_units as unit

    if until is not None and at is None:
        raise click.UsageError("--until needs --at, the time at which the queue starts each day")
    if timer and (at is None or kind != "systemd"):
        raise click.UsageError("--timer needs --at and --for systemd")
    options = {"db": paths.database_path(db), "until": until and f"{until:%H:%M}", **given}
    wanted = unit.ServiceSpec(
        unit.command(options), unit.inherited_environment(), at and (at.hour, at.minute)
    )
    make = unit.timer if timer else {"systemd": unit.systemd, "launchd": unit.launchd}[kind]
    click.echo(make(wanted), nl=False)
