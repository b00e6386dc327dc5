"""The load options: one set of fields, from the sweep file to the worker and the database."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

from runner.database.store import Store
from runner.diff import side
from runner.report.detail_tables import load_options
from schemas.commands import Load
from schemas.load_spec import OPTIONS, LoadSpec
from schemas.sweep import Source
from tests.helpers.paths import ROOT

# Fields of a sweep file's model that identify it or its environment, not how it loads.
NOT_OPTIONS = {"id", "revision", "python", "requirements"}
CHANGED = {
    "engine": "openai",
    "dtype": "float16",
    "device": "cuda:1",
    "trust_remote_code": True,
    "allow_pickle": True,
    "allow_oversize": True,
    "processor": {"do_image_splitting": False},
    "url": "http://127.0.0.1:1/v1",
    "api_key_env": "MY_KEY",
}


def test_sweep_file_has_the_same_options_types_and_defaults() -> None:
    assert set(Source.model_fields) - NOT_OPTIONS == set(OPTIONS)
    assert Source(id="m").load_spec() == LoadSpec()
    for option in dataclasses.fields(LoadSpec):
        field = Source.model_fields[option.name]
        assert not field.is_required()


def test_load_command_has_all_options() -> None:
    command = Load(model="m", local=False, **LoadSpec(**CHANGED).options())
    assert LoadSpec.of(command) == LoadSpec(**CHANGED)


def test_changed_names_every_option() -> None:
    """The tests below cover every option, also a new one."""
    assert set(CHANGED) == set(OPTIONS)
    assert LoadSpec(**CHANGED).changed_options() == CHANGED


def test_json_round_trips_every_option() -> None:
    for spec in (LoadSpec(), LoadSpec(**CHANGED)):
        assert LoadSpec.from_json(spec.as_json()) == spec
    assert LoadSpec.from_json("{}") == LoadSpec()
    assert LoadSpec.from_json('{"dtype":"float16"}') == LoadSpec(dtype="float16")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "not a JSON object"),
        ("{", "Expecting"),
        ('{"colour": 1}', "unknown load option 'colour'"),
        ('{"dtype": "int8"}', "not a valid value of the load option 'dtype'"),
        ('{"device": 5}', "not a valid value of the load option 'device'"),
        ('{"device": null}', "not a valid value of the load option 'device'"),
        ('{"allow_pickle": 1}', "not a valid value of the load option 'allow_pickle'"),
        ('{"url": true}', "not a valid value of the load option 'url'"),
        ('{"processor": []}', "not a valid value of the load option 'processor'"),
    ],
)
def test_other_json_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoadSpec.from_json(text)


def test_database_computes_the_columns_that_queries_use(tmp_path: Path) -> None:
    store = Store(tmp_path / "x.db")
    rows = store.connection.execute("PRAGMA table_xinfo(sweep_models)").fetchall()
    store.close()
    generated = [row[1] for row in rows if row[-1] == 2]
    assert set(generated) < set(OPTIONS)
    stored = [row[1] for row in rows if row[-1] == 0]
    assert not set(stored) & set(OPTIONS)


def test_report_shows_every_changed_option() -> None:
    assert load_options(LoadSpec()) == []
    words = ", ".join(load_options(LoadSpec(**CHANGED)))
    assert [name for name in OPTIONS if name not in words] == []


def test_comparison_includes_every_option() -> None:
    variant = dict.fromkeys((*side.SETTINGS, "name", "source", "location"))
    variant |= {"generation": "{}", "limits": "{}", "load_spec": LoadSpec(**CHANGED).as_json()}
    settings = side.model(variant).settings
    names = {key.partition(".")[0] for key in settings}
    assert set(OPTIONS) <= names


def test_option_is_named_only_where_it_is_defined_checked_and_used() -> None:
    """The cost of a new option: its definition, the sweep file's key, and the code that uses it."""

    def names_it(path: Path) -> bool:
        tree = ast.parse(path.read_text("utf-8"))
        return any(
            (isinstance(node, ast.Attribute) and node.attr == "allow_oversize")
            or (
                isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and node.target.id == "allow_oversize"
            )
            for node in ast.walk(tree)
        )

    modules = [
        path for part in ("runner", "schemas", "workers") for path in (ROOT / part).rglob("*.py")
    ]
    assert {path.relative_to(ROOT).as_posix() for path in modules if names_it(path)} == {
        "schemas/load_spec.py",
        "schemas/sweep/model.py",
        "workers/memory_check.py",
        "runner/preflight/memory.py",
    }
