"""The structure report: each figure, on a small tree whose figures are known."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import structure_report  # noqa: E402

LONG = "def long() -> None:\n" + "    print()\n" * 40
GUIDE = """# Extending

## Add a metric

```python file=runner/scoring/a.py
x = 1
```

```sql file=runner/queries/a.sql
SELECT 1
```

```python file=runner/scoring/a.py
# ```python file=not/a/fence.py
```

## Add nothing

```console
$ ls
```
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = {
        "runner/__init__.py": '"""Top."""\n',
        "runner/a.py": '"""A."""\nfrom runner import b\n\n\n' + LONG,
        "runner/b.py": "def f():\n    import runner.a\n    raise ValueError(1)\n",
        "runner/c.py": (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from runner import d\n"
            'def f():\n    """Does. Raises ValueError."""\n    raise ValueError(1)\n'
        ),
        "runner/d.py": "from runner.c import f as g\n\n\ndef f():\n    raise\n" + "\n" * 300,
        "docs/extending.md": GUIDE,
    }
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text)
    return tmp_path


def test_report_counts_sizes_and_repeated_names(tree: Path) -> None:
    report = structure_report.build_report(tree)
    assert report.modules == {"runner": 5}
    assert report.long_functions == [("runner/a.py:5 long", 41)]
    assert report.long_files == [("runner/d.py", 305)]
    assert report.repeated_names == {"f": ["runner/b.py", "runner/c.py", "runner/d.py"]}


def test_report_counts_cycles_with_and_without_type_checking_imports(tree: Path) -> None:
    report = structure_report.build_report(tree)
    assert report.cycles == [["runner.a", "runner.b"]]
    assert report.type_checking_cycles == [["runner.c", "runner.d"]]


def test_report_counts_docstring_coverage(tree: Path) -> None:
    coverage = structure_report.build_report(tree).docstrings
    assert (coverage["modules"].documented, coverage["modules"].total) == (2, 5)
    assert (coverage["functions"].documented, coverage["functions"].total) == (1, 4)
    raising = coverage["functions that raise: 'Raises'"]
    assert (raising.documented, raising.total) == (1, 2)


def test_extension_cost_is_the_number_of_files_of_its_section(tree: Path) -> None:
    costs = structure_report.build_report(tree).extension_costs
    assert costs == {"Add a metric": ["runner/scoring/a.py", "runner/queries/a.sql"]}


def test_json_and_text_reports_have_the_same_figures(
    tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert structure_report.main(["--root", str(tree), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["docstrings"]["functions"]["share"] == 0.25
    assert structure_report.main(["--root", str(tree)]) == 0
    text = capsys.readouterr().out
    assert "Modules: 5; packages: 1" in text
    assert "functions: 1 of 4 (25.0%)" in text
    assert "runner.a <-> runner.b" in text
