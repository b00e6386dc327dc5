"""Copies a checkpoint's own code, with every file of the checkpoint that it imports.

transformers loads such code from a copy. Version 4 copies only the files that the first module of a
local folder imports, not those that they import in turn; and no version copies what is imported as
`from . import layers` or from a subfolder.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transformers import dynamic_module_utils

from ...error_classes import WorkerFailure


def install() -> None:
    """Have transformers copy and compare the code of local folders by these functions."""
    original = dynamic_module_utils.get_cached_module_file
    if getattr(original, "copies_all", False):
        return

    def get_cached_module_file(model: Any, module_file: str, *args: Any, **kwargs: Any) -> str:
        if (Path(model) / module_file).is_file():
            return copy_module(Path(model), module_file)
        return str(original(model, module_file, *args, **kwargs))  # raises what fits

    get_cached_module_file.copies_all = True  # type: ignore[attr-defined]
    dynamic_module_utils.get_cached_module_file = get_cached_module_file
    dynamic_module_utils.get_relative_import_files = lambda file: imported_files(Path(file))


def copy_module(folder: Path, module_file: str) -> str:
    """Copy a module and the files it imports; the result is its path in the cache of modules.

    The copy's folder is named after the contents: another revision's files are never in it.
    Raises `bad_config` where a file is missing, ImportError where a package is.
    """
    root = Path(folder).absolute()
    first = root / module_file
    needed = [first, *map(Path, imported_files(first))]
    for path in needed:
        if not path.is_relative_to(root):
            message = f"{module_file} of the checkpoint imports {path}, outside its folder"
            raise WorkerFailure("bad_config", message, "Copy that file into the model's folder.")
        dynamic_module_utils.check_imports(str(path))
    # With the other modules, so that they all share a folder and import the same classes.
    others = [path for module in root.glob("*.py") for path in (module, *_readable(module))]
    contents = {path: path.read_bytes() for path in sorted({*needed, *others})}
    digest = hashlib.sha256()
    for path, data in contents.items():
        digest.update(f"{os.path.relpath(path, root)}\0{len(data)}\0".encode() + data)
    name = re.sub(r"\W+", "_", f"m_{root.name}_{digest.hexdigest()[:16]}", flags=re.ASCII)
    package = Path(dynamic_module_utils.TRANSFORMERS_DYNAMIC_MODULE_NAME) / name
    dynamic_module_utils.create_dynamic_module(package)
    for path in needed:
        copy = Path(dynamic_module_utils.HF_MODULES_CACHE) / package / path.relative_to(root)
        _write(copy, contents[path])
    importlib.invalidate_caches()
    return str(package / module_file)


def _write(path: Path, data: bytes) -> None:
    """Write a whole file at once: another worker may be importing it."""
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        file.write(data)
    Path(file.name).replace(path)


def _readable(module: Path) -> list[Path]:
    """The files that a module imports; none if it can't be imported."""
    try:
        return [Path(path) for path in imported_files(module)]
    except WorkerFailure:
        return []


def imported_files(module: Path) -> list[str]:
    """The files that a module imports relatively, those that they import, and so on.

    Raises `bad_config` where one that the import needs does not exist, or is not Python.
    """
    found: set[Path] = set()
    waiting = [module]
    while waiting:
        new = set(_direct_imports(waiting.pop())) - found - {module}
        found |= new
        waiting += sorted(new)
    return sorted(map(str, found))


def _direct_imports(source: Path) -> Iterator[Path]:
    """The files of one module's relative imports, each with the `__init__.py` of its packages."""
    try:
        tree = ast.parse(source.read_bytes())
    except (SyntaxError, ValueError) as error:
        message = f"{source.name} of the checkpoint is not valid Python: {error}"
        raise WorkerFailure("bad_config", message, "{again}") from error
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = Path(os.path.normpath(source.parent.joinpath(*[".."] * (node.level - 1))))
        parts = node.module.split(".") if node.module else []
        found = list(_files(base, parts))
        if parts and not found and node in tree.body:  # not in a `try`, nor in a function
            message = f"{source.name} of the checkpoint imports .{node.module}, which is missing"
            raise WorkerFailure("bad_config", message, "{again}")
        yield from found
        for alias in node.names:  # each may be a module of that package
            yield from _files(base.joinpath(*parts), [alias.name])


def _files(base: Path, parts: list[str]) -> Iterator[Path]:
    """The file of a dotted name below a folder, and the `__init__.py` of each package in it."""
    for depth in range(1, len(parts) + 1):
        place = base.joinpath(*parts[:depth])
        for path in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if path.is_file():
                yield path
