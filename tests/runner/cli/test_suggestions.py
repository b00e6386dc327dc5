"""The command that is suggested for an unknown one."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from runner.cli import cli
from runner.cli.suggestions import READING, SYNONYMS, suggest_command


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("results", "show"),
        ("result", "show"),
        ("list", "sweeps"),
        ("reprot", "report"),
        ("histroy", "history"),
        ("resme", "resume"),
        ("exprot", "export"),
        ("quue", "queue"),
        ("restarts", None),
        ("start-page", None),
        ("xyzzy", None),
    ],
)
def test_a_command_that_acts_is_suggested_only_for_a_typing_error(
    typed: str, meant: str | None
) -> None:
    found = suggest_command(typed, cli.commands)
    if meant is None:
        assert found is None or found in READING
    else:
        assert found == meant
    result = CliRunner().invoke(cli, [typed])
    assert result.exit_code == 2
    assert f"No such command '{typed}'." in result.stderr
    assert (f"Did you mean '{found}'?" in result.stderr) == (found is not None)


def test_synonyms_name_commands_that_read() -> None:
    firsts = {meant.split()[0] for meant in SYNONYMS.values()}
    assert firsts <= set(cli.commands)
    assert firsts <= READING | {"queue"}


def test_queue_suggests_its_own_commands() -> None:
    result = CliRunner().invoke(cli, ["queue", "lst"])
    assert "Did you mean 'list'?" in result.stderr
