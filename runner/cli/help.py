"""The command that shows the documentation: help."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

import click


@click.command("help", short_help="Show a page of the documentation, or a command's help.")
@click.argument("topic", nargs=-1)
@click.pass_context
def help_(ctx: click.Context, topic: tuple[str, ...]) -> None:
    """Show the page about a TOPIC, or the help of a command. Without TOPIC, list the topics.

    On a terminal, a page is shown in a pager; elsewhere it is plain Markdown.

    \b
    vlmsweep help sweep-file
    vlmsweep help queue add
    """
    from runner.commands import help_pages
    from runner.view.markdown import render_markdown

    pages, root = help_pages.help_pages(), ctx.find_root()
    page = pages.get(" ".join(topic).removeprefix("docs/").removesuffix(".md"))
    if not topic:
        click.echo(help_pages.list_topics(pages.values()))
    elif page is None:
        click.echo(command_help(root, topic, pages))
    else:
        text = page.markdown(is_command=page.topic in commands_of(root))
        if sys.stdout.isatty():
            click.echo_via_pager(render_markdown(text, sys.stdout))
        else:
            click.echo(text, nl=False)


def commands_of(ctx: click.Context) -> Mapping[str, click.Command]:
    """Return the commands of a group; none of a single command."""
    return ctx.command.commands if isinstance(ctx.command, click.Group) else {}


def command_help(root: click.Context, names: Sequence[str], topics: Iterable[str]) -> str:
    """Return the help of a command, such as `queue add`. Raises UsageError for an unknown name."""
    from runner.text.suggest import suggest

    at = root
    for name in names:
        commands = commands_of(at)
        if name not in commands:
            kind = "topic or command" if at is root else f"command of {at.info_name}"
            meant = suggest(name, [*commands, *(topics if at is root else ())])
            raise click.UsageError(
                f"there is no {kind} {name!r}{meant}; vlmsweep help lists the topics"
            )
        at = click.Context(commands[name], parent=at, info_name=name)
    return at.get_help()
