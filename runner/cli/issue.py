"""The command that writes a bug report: issue."""

from __future__ import annotations

from pathlib import Path

import click

from .options import database


@click.command(short_help="Write a bug report about a run for the responsible project.")
@click.argument("run")
@click.option("--job", is_flag=True, help="RUN is a job number; use the job's latest run.")
@database
def issue(run: str, job: bool, db: Path | None) -> None:
    """Write a bug report about a RUN in Markdown, and print which tracker to send it to.

    \b
    vlmsweep sql "select run_id, model, message from results where outcome <> 'ok'"
    vlmsweep issue 17 > report.md

    The report has the error with its traceback or stack, the exit status of the process, the end
    of its log, a short Python program that makes the same call without vlmsweep, facts about the
    image, and versions. Home folders are shortened and secrets removed; read it before posting.
    """
    from runner import paths
    from runner.bug_report import report, run_record
    from runner.database.reader import Reader

    with Reader(paths.database_path(db)) as reader:
        found = run_record.find(reader, run, job)
    text, to = report.write_report_text(found)
    click.echo(text, nl=False)
    click.echo(f"Report to: {report.address(to)}", err=True)
