"""Checks that every text argument of every command is valid text, in one place for all of them."""

from __future__ import annotations

from typing import Any

import click

# Texts that name files: bytes that are not UTF-8 are legal in a file name, and are kept.
FILE_NAMES = {"images", "models", "answers"}


class Text(click.types.StringParamType):
    """Valid Unicode. A shell with another encoding, or a damaged paste, gives something else."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text unchanged. Raises BadParameter where it cannot be encoded as UTF-8."""
        text = super().convert(value, param, ctx)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            shown = text.encode("utf-8", "backslashreplace").decode()[:60]
            self.fail(f"{shown!r} is not valid UTF-8 text: type it again in UTF-8", param, ctx)
        return str(text)


class FileName(click.types.StringParamType):
    """A file's name: any bytes that the system can hold."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name unchanged. Raises BadParameter where no file can have it."""
        text = super().convert(value, param, ctx)
        reason = unusable_name(text)
        if reason:
            self.fail(reason, param, ctx)
        return str(text)


class FilePath(click.Path):
    """`click.Path` that refuses names that no file can have."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Raises BadParameter where no file can have that name."""
        reason = unusable_name(str(value)) if value is not None else None
        if reason:
            self.fail(reason, param, ctx)
        return super().convert(value, param, ctx)


def unusable_name(text: str) -> str | None:
    """Returns the reason why no file can have this name, or None."""
    try:
        encoded = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return "the name is not valid text"
    return "the name holds a null character" if b"\0" in encoded else None


def check_arguments(command: click.Command) -> None:
    """Gives every text and path parameter of a command and its subcommands a checking type."""
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            check_arguments(subcommand)
    for parameter in command.params:
        if type(parameter.type) is click.types.StringParamType:
            parameter.type = FileName() if parameter.name in FILE_NAMES else Text()
        elif type(parameter.type) is click.Path:
            parameter.type.__class__ = FilePath
