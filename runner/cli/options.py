"""Options that several commands share. A test compares the choices with the schemas."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
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
    "json": "A JSON list, not rounded.",
    "nl": "One JSON object per line.",
    "csv": "CSV; cells that look like formulas get a leading '.",
    "tsv": "Like --csv, separated by tabs.",
    "table": "A table, rounded, with units.",
    "md": "The table in Markdown.",
    "html": "The table in HTML.",
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
    help="The database file. Default: in your user data folder.",
)


def formats(command: Command) -> Command:
    """Add one flag per output format; all set the parameter `format`."""
    for name, text in reversed(FORMATS.items()):
        command = click.option(f"--{name}", "format", flag_value=name, help=text)(command)
    return command


parameters = click.option(
    "-p",
    "--param",
    "given",
    nargs=2,
    multiple=True,
    metavar="NAME VALUE",
    help="Value of :NAME in the query.",
)
query_limit = click.option(
    "--limit-s",
    type=SECONDS,
    default=30.0,
    metavar="S",
    show_default=True,
    help="Time limit in seconds.",
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
    """Return `8GB` as a number of bytes."""
    from runner.text.units import parse_size

    try:
        return None if value is None else parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def absolute_path(ctx: click.Context, param: click.Parameter, value: Path | None) -> str | None:
    """Return an absolute path, so that it does not depend on the sweep file."""
    return None if value is None else str(value.absolute())


def list_or_none(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> list[str] | None:
    """Return the values of a repeatable option, or None if it was not given."""
    return list(value) or None


# Option name in click -> key in the sweep file.
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
    click.option("--preset", metavar="NAME", help="A built-in sweep: guide."),
    click.option(
        "-m", "--model", "models", multiple=True, metavar="MODEL", help="Hub id or local folder."
    ),
    click.option(
        "-i", "--image", "images", multiple=True, metavar="PATH", help="Image, folder or glob."
    ),
    click.option(
        "-p", "--prompt", "prompts", multiple=True, help="Prompt for each image (repeatable)."
    ),
    click.option("--name", metavar="NAME", help="A name for the sweep."),
    click.option("--engine", type=click.Choice(engine_choices()), help="Engine of every model."),
    click.option(
        "--device", metavar="DEVICE", help="Device of every model: auto, cpu, mps, cuda or cuda:N."
    ),
    click.option("--dtype", type=click.Choice(DTYPES), help="Number type of every model."),
    click.option(
        "--revision", metavar="REVISION", help="Branch, tag or commit on the hub, for every model."
    ),
    click.option(
        "--trust-remote-code", is_flag=True, help="Run Python code from model repositories."
    ),
    click.option(
        "--max-new-tokens",
        type=COUNT,
        metavar="N",
        help="Maximum length of an answer in tokens (default 100).",
    ),
    click.option(
        "--max-side",
        type=click.IntRange(min=0),
        metavar="N",
        help="Longest side of an image in pixels; 0 keeps the size (default 1024).",
    ),
    click.option("--repeats", type=COUNT, metavar="N", help="Runs per job (default 1)."),
    click.option(
        "--answers", type=PLACE, callback=absolute_path, help="File of reference answers."
    ),
    click.option(
        "--scoring",
        multiple=True,
        type=METRIC,
        callback=list_or_none,
        help="Metric for the answers (repeatable).",
    ),
    click.option(
        "--download-limit",
        type=SECONDS,
        metavar="S",
        help="Download time limit in seconds (default 7200).",
    ),
    click.option(
        "--load-limit", type=SECONDS, metavar="S", help="Load time limit in seconds (default 600)."
    ),
    click.option(
        "--first-token-limit",
        type=SECONDS,
        metavar="S",
        help="Time-to-first-token limit in seconds (default 180).",
    ),
    click.option(
        "--run-limit",
        type=SECONDS,
        metavar="S",
        help="Time limit of a run in seconds (default 600).",
    ),
    click.option(
        "--silence-limit",
        type=SECONDS,
        metavar="S",
        help="Time limit without new text in seconds (default 60).",
    ),
    click.option(
        "--memory-limit",
        callback=size,
        metavar="SIZE",
        help="Memory limit of a model's processes, such as 8GB.",
    ),
)


def add_options(command: Command, options: Sequence[Callable[[Command], Command]]) -> Command:
    """Add options to a command, listed in this order in its help."""
    for option in reversed(options):
        command = option(command)
    return command


def sweep_options(command: Command) -> Command:
    """Add the argument and options that define a sweep."""
    return add_options(command, SWEEP_OPTIONS)


def to_sweep_request(given: dict[str, Any], *, models_only: bool = False) -> Any:
    """Return the options of `sweep_options` as a runner.planning.request.SweepRequest."""
    from runner.planning.request import SweepRequest

    settings: dict[str, Any] = {}
    for option, key in SETTINGS.items():
        if (value := given[option]) is not None:
            *outer, last = key.split(".")
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
