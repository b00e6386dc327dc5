"""The command group: --version, --debug, and error messages with exit codes."""

from __future__ import annotations

import sys
from typing import Any

import click

from runner import __version__
from runner.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE, VlmsweepError

from .arguments import check_arguments
from .suggestions import suggest_command


class SuggestingGroup(click.Group):
    """A command group that suggests a command for an unknown name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; raises UsageError for an unknown name."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            meant = suggest_command(name, self.commands)
            hint = f" Did you mean {meant!r}?" if meant else ""
            raise click.UsageError(f"No such command {name!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)


class SectionedGroup(SuggestingGroup):
    """A command group whose help lists commands in titled sections."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections: dict[str, tuple[click.Command, ...]] = {}

    def section(self, title: str, *commands: click.Command) -> None:
        """Add commands under a title in the help."""
        self.sections[title] = commands
        for command in commands:
            check_arguments(command)
            self.add_command(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one line per command under the section titles, all in the same columns."""
        width = max(map(len, self.commands))
        room = formatter.width - width - 6
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (str(command.name).ljust(width), command.get_short_help_str(room))
                        for command in commands
                    ]
                )

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in the order they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; an error becomes a message and its exit code."""
        for out in (sys.stdout, sys.stderr):
            if hasattr(
                out, "reconfigure"
            ):  # an encoding without some character must not be an error
                out.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            fail(ctx, "Interrupted.", EXIT_INTERRUPTED)
        except VlmsweepError as error:
            if ctx.params.get("debug"):
                raise
            hint = f"\nHint: {error.hint}" if error.hint else ""
            fail(ctx, f"Error: {error.message}{hint}", error.exit_code)
        except OSError as error:
            if ctx.params.get("debug") or error.filename is None:
                raise
            fail(ctx, f"Error: {describe_file_error(error)}", EXIT_USAGE)
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            again = "(run again as vlmsweep --debug ... for the traceback)"
            fail(ctx, f"Internal error: {' '.join(what.split())} {again}", EXIT_INTERNAL)


def describe_file_error(error: OSError) -> str:
    """`cannot use PATH: permission denied`: the system's refusal of a file the user named."""
    from runner.system.read_file import describe_os_error
    from runner.text.sanitize import display_path, truncate

    return f"cannot use {truncate(display_path(error.filename), 200)}: {describe_os_error(error)}"


def fail(ctx: click.Context, message: str, code: int) -> None:
    """Print a message to standard error without control characters, and exit."""
    from runner.text.sanitize import strip_control_characters

    click.echo(strip_control_characters(message), err=True)
    ctx.exit(code)


@click.group(
    cls=SectionedGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--debug", is_flag=True, envvar="VLMSWEEP_DEBUG", help="Show tracebacks of errors.")
@click.version_option(__version__, prog_name="vlmsweep")
def cli(debug: bool) -> None:
    """Run many vision-language models over your images, safely, and query the results with SQL.

    Each model runs in its own process. Every run is stored in one SQLite file.
    Start with: vlmsweep demo
    """
