"""Find import cycles between the files of the packages; used by structure_report.py.

Imports inside functions count. Those under `if TYPE_CHECKING:` count only on request.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGES = ("runner", "workers", "schemas", "vlmsweep", "images")
Graph = dict[str, set[str]]


@dataclass(frozen=True)
class Module:
    """One parsed source file; `file` is relative to the root."""

    name: str
    file: str
    source: str
    tree: ast.Module


def load_modules(root: Path) -> list[Module]:
    """Parse the packages. Raises SyntaxError for a file that is not Python."""
    modules = []
    for path in sorted(path for name in PACKAGES for path in (root / name).rglob("*.py")):
        file = path.relative_to(root).as_posix()
        name = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        source = path.read_text(encoding="utf-8")
        modules.append(Module(name, file, source, ast.parse(source, file)))
    return modules


def is_type_checking(node: ast.AST) -> bool:
    """Return whether a node is `if TYPE_CHECKING:`."""
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(tree: ast.Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield import statements, each with whether it is for type checking only."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, typing_only = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, typing_only
        guarded = node.body if isinstance(node, ast.If) and is_type_checking(node) else []
        for child in ast.iter_child_nodes(node):
            waiting.append((child, typing_only or child in guarded))


def import_targets(
    node: ast.Import | ast.ImportFrom, module: Module, known: set[str]
) -> Iterator[str]:
    """Yield the known modules that a statement imports, a submodule before its package."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
        return
    base = node.module or ""
    if node.level:
        parts = module.name.split(".")
        is_package = module.file.endswith("__init__.py")
        parts = parts[: len(parts) - node.level + is_package]
        base = ".".join([*parts, base] if base else parts)
    for alias in node.names:
        full = f"{base}.{alias.name}"
        if full in known:
            yield full
        elif base in known:
            yield base


def import_graph(modules: list[Module], with_typing: bool) -> Graph:
    """Return which modules each module imports, inside functions too."""
    known = {module.name for module in modules}
    graph: Graph = {name: set() for name in known}
    for module in modules:
        for node, typing_only in imports(module.tree):
            if with_typing or not typing_only:
                graph[module.name].update(import_targets(node, module, known))
        graph[module.name].discard(module.name)
    return graph


def reachable(graph: Graph, start: str) -> set[str]:
    """Return all modules that a module imports, directly or not."""
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        fresh = graph[waiting.pop()] - seen
        seen |= fresh
        waiting.extend(fresh)
    return seen


def cycles(graph: Graph) -> list[list[str]]:
    """Return the groups of modules that import each other."""
    below = {name: reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in below[name] if name in below[other]))
        for name in graph
        if name in below[name]
    }
    return sorted(list(group) for group in groups)
