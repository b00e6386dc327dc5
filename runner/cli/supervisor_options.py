"""Options of the commands that run a supervisor: its resources, sleep and notifications."""

from __future__ import annotations

from typing import Any

import click

from .options import COUNT, Command, add_options, size

RESOURCE_OPTIONS = (
    click.option(
        "--workers",
        type=COUNT,
        default=1,
        metavar="N",
        show_default=True,
        help="Number of models that run at once.",
    ),
    click.option(
        "--memory-budget",
        callback=size,
        metavar="SIZE",
        help="Memory for all workers together. Default: most of the free memory.",
    ),
)


LISTENER_OPTIONS = (
    click.option(
        "--allow-sleep", is_flag=True, help="Do not keep the machine awake during sweeps."
    ),
    click.option(
        "--notify",
        multiple=True,
        envvar="VLMSWEEP_NOTIFY",
        show_envvar=True,
        metavar="URL",
        help="Notify this apprise URL when a sweep ends or first fails.",
    ),
    click.option(
        "--notify-command",
        envvar="VLMSWEEP_NOTIFY_COMMAND",
        show_envvar=True,
        metavar="COMMAND",
        help="Run this command with the message on standard input.",
    ),
)


def listener_options(command: Command) -> Command:
    """Add the options about sleep and notifications."""
    return add_options(command, LISTENER_OPTIONS)


def to_listener_options(given: dict[str, Any]) -> Any:
    """Return the options of `listener_options` as runner.notify.listeners.ListenerOptions."""
    from runner.notify.listeners import ListenerOptions

    return ListenerOptions(given["allow_sleep"], given["notify"], given["notify_command"])


def resource_options(command: Command) -> Command:
    """Add the options that limit the supervisor's resources."""
    return add_options(command, RESOURCE_OPTIONS)


def to_supervisor_limits(given: dict[str, Any], **more: Any) -> Any:
    """Return the options of `resource_options` as the supervisor's limits."""
    from runner.supervisor import resources

    return resources.limits_for_machine(given["workers"], given["memory_budget"], **more)
