"""The packages that a checkpoint's own code imports, found by parsing it; none of it is run.

transformers refuses a module that `auto_map` names if one of its imports is missing, except in
a `try` or below a test for an available library. The modules that these import in turn run as they
are, so that only imports outside of functions count there.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

NAMING_FILES = (
    "config.json",
    "processor_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
)
LAZY = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def code_imports(folder: Path, model_file: str | None = None) -> tuple[str, ...]:
    """The import names that the code in `folder` needs, sorted.

    `model_file` is the module to start at; by default those that `auto_map` names.
    """
    named = {model_file} if model_file else named_modules(folder)
    found: set[str] = set()
    seen: set[Path] = set()
    waiting = [(folder / name, not model_file) for name in sorted(named)]
    while waiting:
        path, inside = waiting.pop()
        tree = parse(path) if path not in seen else None
        seen.add(path)
        if tree is None:
            continue
        for node in unguarded_imports(tree, inside):
            if isinstance(node, ast.ImportFrom) and node.level:
                waiting += [(module, False) for module in relative_modules(path, node)]
            else:
                found |= set(absolute_names(node))
    return tuple(sorted(found))


def named_modules(folder: Path) -> set[str]:
    """The file names of the modules of the folder that any `auto_map` names."""
    found = set()
    for name in NAMING_FILES:
        try:
            value = json.loads((folder / name).read_bytes())
            entries: Iterable[Any] = value.get("auto_map", {}).values()
        except (OSError, ValueError, AttributeError):
            continue
        for entry in entries:
            for reference in entry if isinstance(entry, list) else [entry]:
                if isinstance(reference, str) and "--" not in reference:
                    found.add(reference.partition(".")[0] + ".py")
    return found


def parse(path: Path) -> ast.Module | None:
    """The module's syntax tree; None if there is no such file, or it is not Python."""
    try:
        return ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError, RecursionError):
        return None


def unguarded_imports(
    node: ast.AST, inside_functions: bool
) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that fail where the package is missing."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif isinstance(child, ast.Try | ast.TryStar) or is_guard(child):
            continue
        elif inside_functions or not isinstance(child, LAZY):
            yield from unguarded_imports(child, inside_functions)


def is_guard(node: ast.AST) -> bool:
    """Whether this is an `if` that asks for an available library, or for a type checker."""
    if not isinstance(node, ast.If):
        return False
    names = {name.id for name in ast.walk(node.test) if isinstance(name, ast.Name)}
    names |= {name.attr for name in ast.walk(node.test) if isinstance(name, ast.Attribute)}
    return "TYPE_CHECKING" in names or any(name.endswith("available") for name in names)


def relative_modules(path: Path, node: ast.ImportFrom) -> Iterator[Path]:
    """The files that a relative import may mean."""
    base = path.parent
    for _ in range(node.level - 1):
        base = base.parent
    if node.module:
        yield base.joinpath(*node.module.split(".")).with_suffix(".py")
        return
    yield from (base / f"{alias.name}.py" for alias in node.names)


def absolute_names(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """The top-level packages of an import that is not relative."""
    if isinstance(node, ast.ImportFrom):
        yield (node.module or "").partition(".")[0]
    else:
        yield from (alias.name.partition(".")[0] for alias in node.names)
