"""The command group: version, --debug, and how errors become messages and exit codes."""

from __future__ import annotations

import sys
from typing import Any

import click

from runner import __version__
from runner.errors import EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_USAGE, VlmsweepError

from .arguments import check_arguments


class SectionedGroup(click.Group):
    """A group that lists its commands by what they are for, as a newcomer needs them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections: dict[str, tuple[click.Command, ...]] = {}

    def section(self, title: str, *commands: click.Command) -> None:
        """Adds commands under a title of their own in the help."""
        self.sections[title] = commands
        for command in commands:
            check_arguments(command)
            self.add_command(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands under their titles, a line each, in one column throughout."""
        width = max(map(len, self.commands))
        room = formatter.width - width - 6
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(str(one.name).ljust(width), one.get_short_help_str(room)) for one in commands]
                )

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; whatever goes wrong ends in a message and its own exit code."""
        for out in (sys.stdout, sys.stderr):
            if hasattr(out, "reconfigure"):  # an old terminal's encoding must stop nothing
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
    """A message on standard error, harmless to the terminal, and the end."""
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
    """Run many vision-language models over your images, safely; ask SQL about it afterwards.

    Each model runs in a process of its own, and every run is stored in one SQLite file.
    Start with: vlmsweep demo
    """
