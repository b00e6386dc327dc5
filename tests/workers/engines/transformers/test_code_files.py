"""Code of a checkpoint in several files: every imported file is copied, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workers.error_classes import WorkerFailure

pytestmark = pytest.mark.model
FILES = {
    "modeling.py": "from .vision import encode\nfrom . import head\n\n"
    "try:\n    from .fast import encode\nexcept ImportError:\n    pass\n\n\n"
    "class Model:\n    value = encode() + head.VALUE\n",
    "vision.py": "from .layers import norm\n\n\ndef encode():\n    return norm()\n",
    "layers.py": "from .blocks.norm import norm\n",
    "blocks/__init__.py": "",
    "blocks/norm.py": "from ..numbers_used import SEVEN\n\n\ndef norm():\n    return SEVEN\n",
    "numbers_used.py": "SEVEN = 7\n",
    "head.py": "VALUE = 100\n",
    "configuration.py": "class Config:\n    pass\n",
    "convert_weights.py": "raise SystemExit('never imported')\n",
}


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Loads a class by transformers' own function."""
    from transformers import dynamic_module_utils as library

    from workers.engines.transformers import code_files

    for name in ("get_cached_module_file", "get_relative_import_files"):
        monkeypatch.setattr(library, name, getattr(library, name))
    code_files.install()
    modules = str(tmp_path_factory.getbasetemp() / "remote-code")
    monkeypatch.setattr(library, "HF_MODULES_CACHE", modules)
    return lambda name, folder: library.get_class_from_dynamic_module(name, str(folder))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_whole_closure_is_copied(load: Callable[..., Any], tmp_path: Path) -> None:
    folder = write(tmp_path / "0a1b-c.d", FILES)
    kind = load("modeling.Model", folder)
    assert kind.value == 107
    place = Path(str(sys.modules[kind.__module__].__file__)).parent
    copied = {path.relative_to(place).as_posix() for path in place.rglob("*.py")}
    unused = {"configuration.py", "convert_weights.py"}
    assert copied - {"__init__.py"} == FILES.keys() - unused
    assert load("modeling.Model", folder) is kind
    # The configuration is in the model's folder, so that both import the same classes.
    assert load("configuration.Config", folder).__module__.startswith(
        kind.__module__.removesuffix("modeling")
    )


def test_copy_is_of_these_contents(load: Callable[..., Any], tmp_path: Path) -> None:
    """Two revisions in folders of the same name, and a file changed three imports away."""
    for place, value in (("one", 8), ("two", 9)):
        files = FILES | {"numbers_used.py": f"SEVEN = {value}\n"}
        assert load("modeling.Model", write(tmp_path / place / "same", files)).value == value + 100
    first = load("modeling.Model", tmp_path / "one" / "same")
    assert first.value == 108
    write(tmp_path / "one" / "same", {"numbers_used.py": "SEVEN = 10\n"})
    assert load("modeling.Model", tmp_path / "one" / "same").value == 110
    assert first.value == 108


def test_files_of_a_snapshot_are_links(load: Callable[..., Any], tmp_path: Path) -> None:
    """The hub's cache: links with the files' names to blobs with others."""
    snapshot = tmp_path / "snapshots" / ("4" * 40)
    for number, (name, text) in enumerate(FILES.items()):
        blob = write(tmp_path / "blobs", {str(number): text}) / str(number)
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(blob)
    assert load("modeling.Model", snapshot).value == 107


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"layers.py": "from .gone import x\n"}, "layers.py of the checkpoint imports .gone"),
        ({"layers.py": "def norm(:\n"}, "layers.py of the checkpoint is not valid Python"),
        ({"layers.py": "from ..outside import x\n"}, "outside its folder"),
    ],
)
def test_bad_code_is_named(
    files: dict[str, str], words: str, load: Callable[..., Any], tmp_path: Path
) -> None:
    write(tmp_path, {"outside.py": "x = 1\n"})
    folder = write(tmp_path / "model", FILES | files)
    with pytest.raises(WorkerFailure, match=words) as caught:
        load("modeling.Model", folder)
    assert caught.value.error_class == "bad_config"
    assert caught.value.hint


def test_missing_package_is_named_in_any_file(load: Callable[..., Any], tmp_path: Path) -> None:
    folder = write(tmp_path, FILES | {"layers.py": "import no_such_package_here\n"})
    with pytest.raises(ImportError, match="no_such_package_here"):
        load("modeling.Model", folder)
