"""The output of doctor and chaos in the documents equals that of the code, except for figures.

Each shown output is read into the results that it is about. Their names are compared with those of
the code, and they are printed again, which must give the shown text.
"""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console

from runner import doctor
from runner.chaos import catalogue
from runner.chaos import view as chaos_view
from runner.chaos.result import FaultResult
from runner.doctor import view as doctor_view
from runner.doctor.check import Check
from runner.view.table_renderer import render_grid
from tests.helpers.paths import ROOT

COLUMNS = 100
DOCUMENTS = ("README.md", "docs/checking.md")
AREAS = {title: area for area, title in doctor_view.TITLES.items()}
CHECK = re.compile(r"(ok|unavailable|problem) +(\S+(?: \S+)*)  +(\S.*)")
SECONDS = {"ms": 0.001, "s": 1.0}


def shown_output(document: str, command: str) -> list[str]:
    """Returns the lines shown below a command."""
    text = (ROOT / document).read_text(encoding="utf-8")
    (block,) = re.findall(rf"^\$ vlmsweep {command}\n(.+?)^```", text, re.MULTILINE | re.DOTALL)
    return str(block).splitlines()


def printed(console: Console) -> list[str]:
    """Returns the lines on a console without the spaces that fill them."""
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def terminal() -> Console:
    """Returns a terminal of the width of the documents, without colours."""
    return Console(file=io.StringIO(), width=COLUMNS, highlight=False, markup=False, emoji=False)


def shown_checks(document: str) -> list[Check]:
    """Returns the checks that a document shows."""
    found: list[Check] = []
    area = ""
    for line in shown_output(document, "doctor")[:-1]:
        if line in AREAS:
            area = AREAS[line]
        elif check := CHECK.fullmatch(line):
            found.append(Check(area, check[2], check[1], check[3]))  # type: ignore[arg-type]
        elif line:
            assert line.startswith(" "), line
            last = found.pop()
            found.append(Check(area, last.check, last.state, f"{last.detail} {line.strip()}"))
    return found


def shown_faults(document: str) -> list[FaultResult]:
    """Returns the results of the faults that a document shows."""
    head, *rows = shown_output(document, "chaos")[:-2]
    names = re.split(r"  +", head)
    starts = [head.index(name) for name in names]
    faults = {fault.title: fault for fault in catalogue.FAULTS}
    found = []
    for row in rows:
        cells = [row[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
        cell = dict(zip(names, cells, strict=True))
        amount, _, unit = cell["Killed in"].partition(" ")
        fault = faults[cell["Fault"]]
        found.append(
            FaultResult(
                fault=fault.name,
                title=fault.title,
                expected=fault.expected,
                got=cell["Outcome"],
                phase=cell["Phase"] or None,
                kill_s=float(amount) * SECONDS[unit] if amount else None,
                survivors=int(cell["Left over"]),
                next_ok=cell["Next job"] == "ok",
                took_s=0.0,
                survived=cell["Verdict"] == "survived",
                why=None,
            )
        )
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_shown_doctor_output_is_laid_out_as_printed(document: str) -> None:
    out = terminal()
    doctor_view.render_checks(shown_checks(document), out)
    assert printed(out) == shown_output(document, "doctor")


@pytest.mark.skipif(sys.platform != "linux", reason="the documents show the checks of Linux")
def test_shown_doctor_output_names_all_checks_in_their_order(tmp_path: Path) -> None:
    real = doctor.run_checks(tmp_path / "x.db", False, io.StringIO())
    names = [(check.area, check.check) for check in real]
    for document in DOCUMENTS:
        assert [(check.area, check.check) for check in shown_checks(document)] == names


@pytest.mark.parametrize("document", DOCUMENTS)
def test_shown_chaos_output_is_laid_out_as_printed(document: str) -> None:
    faults = shown_faults(document)
    out = terminal()
    render_grid(chaos_view.verdicts(faults), out)
    last = f"{sum(fault.survived for fault in faults)} of {len(faults)} survived"
    assert [*printed(out), "", last] == shown_output(document, "chaos")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_shown_chaos_output_has_all_faults_with_their_outcome_and_phase(document: str) -> None:
    faults = shown_faults(document)
    assert [fault.fault for fault in faults] == [fault.name for fault in catalogue.FAULTS]
    for known, shown in zip(catalogue.FAULTS, faults, strict=True):
        assert shown.got == known.expected
        assert known.phase in (None, shown.phase)


def test_number_of_faults_in_the_prose_is_right() -> None:
    (count,) = re.findall(r"runs (\d+) faults", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert int(count) == len(catalogue.FAULTS)
