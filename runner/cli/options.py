"""Options that several commands share. A test holds the choices against the schemas."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from schemas.engines import engine_choices


class MetricName(click.ParamType):  # type: ignore[type-arg]  # not generic in older clicks
    """The name of a metric; metrics are looked for only when a name is given."""

    name = "metric"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name. Fails, as a usage error, when there is no such metric."""
        from runner.scoring.metrics import known_metrics

        known = list(known_metrics())
        if value not in known:
            self.fail(f"{value!r} is not one of {', '.join(known)}", param, ctx)
        return str(value)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The metrics whose names begin so."""
        from runner.scoring.metrics import known_metrics

        return [CompletionItem(name) for name in known_metrics() if name.startswith(incomplete)]


Command = TypeVar("Command", bound=Callable[..., Any])

DTYPES = ("auto", "float32", "bfloat16", "float16")
FORMATS = {
    "json": "A JSON list, every digit.",
    "nl": "A JSON object a line.",
    "csv": "CSV; text that a spreadsheet would run gets a ' in front.",
    "tsv": "The same with tabs.",
    "table": "A table for people, rounded, with units.",
    "md": "The same in Markdown.",
    "html": "The same in HTML.",
}
COUNT = click.IntRange(min=1)
METRIC = MetricName()
SECONDS = click.FloatRange(min=0, min_open=True)
PLACE = click.Path(dir_okay=False, path_type=Path)

database = click.option(
    "--db",
    type=PLACE,
    envvar="VLMSWEEP_DB",
    show_envvar=True,
    help="The database file. By default one in your user data folder.",
)


def formats(command: Command) -> Command:
    """The formats of a reading command, as flags of one parameter."""
    for name, text in reversed(FORMATS.items()):
        command = click.option(f"--{name}", "format", flag_value=name, help=text)(command)
    return command


parameters = click.option(
    "-p", "--param", "given", nargs=2, multiple=True, metavar="NAME VALUE", help="For :name."
)
parquet = click.option(
    "--parquet", "file", type=PLACE, metavar="FILE", help="Write a Parquet file instead."
)


def start_log(ctx: click.Context, param: click.Parameter, level: str | None) -> None:
    """Log until the command ends, if a level or VLMSWEEP_LOG is given."""
    path = os.environ.get("VLMSWEEP_LOG")
    if ctx.resilient_parsing or not (level or path):
        return
    from runner.system import log

    ctx.with_resource(log.log_to(log.open_target(Path(path) if path else None), level or "info"))


log_option = click.option(
    "--log-level",
    type=click.Choice(("debug", "info", "warning", "error")),
    callback=start_log,
    expose_value=False,
    help="Log the supervisor's decisions, to stderr or the file VLMSWEEP_LOG.",
)


def size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """8GB as a number of bytes."""
    from runner.text.units import parse_size

    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def absolute_path(ctx: click.Context, param: click.Parameter, value: Path | None) -> str | None:
    """A path independent of any sweep file's folder."""
    return None if value is None else str(value.absolute())


def list_or_none(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> list[str] | None:
    """What was given several times, or None when it was not."""
    return list(value) or None


# Each option's place in a sweep file, by the name click passes it under.
SETTINGS = {
    "name": "name",
    "max_new_tokens": "generation.max_new_tokens",
    "max_side": "image.max_side",
    "repeats": "repeats",
    "answers": "answers",
    "scoring": "scoring",
    "download_limit": "limits.download_s",
    "load_limit": "limits.load_s",
    "first_token_limit": "limits.first_token_s",
    "run_limit": "limits.run_s",
    "silence_limit": "limits.silence_s",
    "memory_limit": "limits.memory_bytes",
}
EACH_MODEL = ("engine", "device", "dtype", "revision", "trust_remote_code")

SWEEP_OPTIONS = (
    click.argument("sweep_file", required=False, type=PLACE),
    click.option("--preset", metavar="NAME", help="A sweep that comes with vlmsweep: guide."),
    click.option(
        "-m", "--model", "models", multiple=True, metavar="MODEL", help="Hub id or local folder."
    ),
    click.option(
        "-i", "--image", "images", multiple=True, metavar="PATH", help="Image, folder or glob."
    ),
    click.option("-p", "--prompt", "prompts", multiple=True, help="What to ask about each."),
    click.option("--name", metavar="NAME", help="A name to find the sweep by."),
    click.option("--engine", type=click.Choice(engine_choices()), help="For every model."),
    click.option(
        "--device", metavar="DEVICE", help="For every model: auto, cpu, mps, cuda or cuda:N."
    ),
    click.option("--dtype", type=click.Choice(DTYPES), help="For every model."),
    click.option(
        "--revision", metavar="REVISION", help="For every model: branch, tag or commit on the hub."
    ),
    click.option("--trust-remote-code", is_flag=True, help="Run Python code models bring."),
    click.option(
        "--max-new-tokens", type=COUNT, metavar="N", help="Longest answer; 100 by default."
    ),
    click.option(
        "--max-side",
        type=click.IntRange(min=0),
        metavar="N",
        help="Longest side in pixels, 0: as it is; 1024 by default.",
    ),
    click.option("--repeats", type=COUNT, metavar="N", help="How often to ask; 1 by default."),
    click.option("--answers", type=PLACE, callback=absolute_path, help="File of accepted answers."),
    click.option(
        "--scoring",
        multiple=True,
        type=METRIC,
        callback=list_or_none,
        help="How answers are scored.",
    ),
    click.option(
        "--download-limit", type=SECONDS, metavar="S", help="For a download; 7200 by default."
    ),
    click.option("--load-limit", type=SECONDS, metavar="S", help="For a load; 600 by default."),
    click.option(
        "--first-token-limit",
        type=SECONDS,
        metavar="S",
        help="For the first word; 180 by default.",
    ),
    click.option(
        "--run-limit", type=SECONDS, metavar="S", help="For a whole answer; 600 by default."
    ),
    click.option(
        "--silence-limit", type=SECONDS, metavar="S", help="Without new text; 60 by default."
    ),
    click.option(
        "--memory-limit", callback=size, metavar="SIZE", help="For a model's processes, as 8GB."
    ),
)


RESOURCE_OPTIONS = (
    click.option(
        "--workers",
        type=COUNT,
        default=1,
        metavar="N",
        show_default=True,
        help="Models that run at once.",
    ),
    click.option(
        "--memory-budget",
        callback=size,
        metavar="SIZE",
        help="For all of them together; without it most of what is free.",
    ),
)


LISTENER_OPTIONS = (
    click.option("--allow-sleep", is_flag=True, help="Let the machine fall asleep meanwhile."),
    click.option(
        "--notify",
        multiple=True,
        envvar="VLMSWEEP_NOTIFY",
        show_envvar=True,
        metavar="URL",
        help="Tell this apprise address of ends and failures.",
    ),
    click.option(
        "--notify-command",
        envvar="VLMSWEEP_NOTIFY_COMMAND",
        show_envvar=True,
        metavar="COMMAND",
        help="Run this, with the message as its input.",
    ),
)


def listener_options(command: Command) -> Command:
    """What stands beside sweeps that run."""
    for option in reversed(LISTENER_OPTIONS):
        command = option(command)
    return command


def to_listener_options(given: dict[str, Any]) -> Any:
    """The options of `beside` as a runner.notify.listeners.Company."""
    from runner.notify.listeners import ListenerOptions

    return ListenerOptions(given["allow_sleep"], given["notify"], given["notify_command"])


def resource_options(command: Command) -> Command:
    """What a supervisor may take of the machine."""
    for option in reversed(RESOURCE_OPTIONS):
        command = option(command)
    return command


def to_supervisor_limits(given: dict[str, Any], **more: Any) -> Any:
    """The options of `allowed` as runner.supervisor.resources.Terms."""
    from runner.supervisor import resources

    return resources.limits_for_machine(given["workers"], given["memory_budget"], **more)


def sweep_options(command: Command) -> Command:
    """What a sweep is made of: a file, options, or options laid over a file."""
    for option in reversed(SWEEP_OPTIONS):
        command = option(command)
    return command


def to_sweep_request(given: dict[str, Any], *, models_only: bool = False) -> Any:
    """The options of `wish` as a runner.planning.request.Wish."""
    from runner.planning.request import SweepRequest

    settings: dict[str, Any] = {}
    for option, place in SETTINGS.items():
        if (value := given[option]) is not None:
            *outer, last = place.split(".")
            inner = settings.setdefault(outer[0], {}) if outer else settings
            inner[last] = None if option == "max_side" and value == 0 else value
    each = {name: given[name] for name in EACH_MODEL if given[name]}
    return SweepRequest(
        file=given["sweep_file"],
        preset=given["preset"],
        models=given["models"],
        images=given["images"],
        prompts=given["prompts"],
        each_model=each,
        settings=settings,
        models_only=models_only,
    )
