"""Print figures about the structure of the code: sizes, names, docstrings, cycles, costs.

    python scripts/structure_report.py [--json] [--root DIR]

Functions over 40 lines, files over 300, names defined in three or more modules, docstring coverage
of public names, import cycles between files, and the number of files that each worked example of
docs/extending.md touches. An example is a section (`## Add a metric`) with blocks of code whose
opening fence names the file: ```python file=runner/scoring/metrics/first_word.py
Nothing is imported; the sources are parsed. Use `--root` to compare two checkouts.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from import_cycles import Module, cycles, import_graph, load_modules

FUNCTION_LINES, FILE_LINES, SAME_NAME = 40, 300, 3
FENCE = re.compile(r"^\s*(`{3,}|~{3,})(.*)$")
TOUCHED = re.compile(r"\bfile=(\S+)")
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Coverage:
    """Counts public names, and those that are documented."""

    documented: int = 0
    total: int = 0

    def add(self, has: bool) -> None:
        """Count one more."""
        self.documented += has
        self.total += 1

    @property
    def share(self) -> float | None:
        """Documented share from 0 to 1; None when there is nothing to document."""
        return round(self.documented / self.total, 4) if self.total else None


@dataclass
class Report:
    """All figures. Lengths are in lines."""

    modules: dict[str, int] = field(default_factory=dict)
    long_functions: list[tuple[str, int]] = field(default_factory=list)
    long_files: list[tuple[str, int]] = field(default_factory=list)
    repeated_names: dict[str, list[str]] = field(default_factory=dict)
    docstrings: dict[str, Coverage] = field(default_factory=dict)
    cycles: list[list[str]] = field(default_factory=list)
    type_checking_cycles: list[list[str]] = field(default_factory=list)
    extension_costs: dict[str, list[str]] = field(default_factory=dict)


def modules_per_package(modules: list[Module]) -> dict[str, int]:
    """Count modules by the folder that holds them."""
    return dict(sorted(Counter(str(Path(module.file).parent) for module in modules).items()))


def functions(modules: list[Module]) -> Iterator[tuple[Module, FunctionNode]]:
    """Yield every function and method, nested ones too."""
    for module in modules:
        for node in ast.walk(module.tree):
            if isinstance(node, FunctionNode):
                yield module, node


def long_functions(modules: list[Module]) -> list[tuple[str, int]]:
    """Return functions over the limit with their length, longest first."""
    found = [
        (f"{module.file}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for module, node in functions(modules)
    ]
    return sorted((item for item in found if item[1] > FUNCTION_LINES), key=lambda item: -item[1])


def long_files(modules: list[Module]) -> list[tuple[str, int]]:
    """Return files over the limit with their length, longest first."""
    found = [(module.file, len(module.source.splitlines())) for module in modules]
    return sorted((item for item in found if item[1] > FILE_LINES), key=lambda item: -item[1])


def repeated_names(modules: list[Module]) -> dict[str, list[str]]:
    """Return module-level functions and classes defined in several modules, most often first."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for module in modules:
        for node in module.tree.body:
            if (
                isinstance(node, FunctionNode | ast.ClassDef)
                and module.file not in places[node.name]
            ):
                places[node.name].append(module.file)
    repeated = [item for item in places.items() if len(item[1]) >= SAME_NAME]
    return dict(sorted(repeated, key=lambda item: (-len(item[1]), item[0])))


def public_nodes(tree: ast.Module) -> Iterator[FunctionNode | ast.ClassDef]:
    """Yield public classes, functions and methods that are not nested in a function."""
    bodies = [tree.body]
    while bodies:
        for node in bodies.pop():
            if isinstance(node, FunctionNode | ast.ClassDef) and not node.name.startswith("_"):
                yield node
                if isinstance(node, ast.ClassDef):
                    bodies.append(node.body)


def own_nodes(function: FunctionNode) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of functions and classes inside it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, FunctionNode | ast.ClassDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


def raises(function: FunctionNode) -> bool:
    """Return whether a function raises a new error itself (a bare `raise` does not count)."""
    return any(isinstance(node, ast.Raise) and node.exc for node in own_nodes(function))


def docstring_coverage(modules: list[Module]) -> dict[str, Coverage]:
    """Count docstrings of public modules, classes and functions, and mentions of errors."""
    kinds = ("modules", "classes", "functions", "functions that raise: 'Raises'")
    coverage = {kind: Coverage() for kind in kinds}
    for module in modules:
        if not any(re.match(r"_(?!_)", part) for part in module.name.split(".")) and module.source:
            coverage["modules"].add(ast.get_docstring(module.tree) is not None)
        for node in public_nodes(module.tree):
            text = ast.get_docstring(node)
            if isinstance(node, ast.ClassDef):
                coverage["classes"].add(text is not None)
                continue
            coverage["functions"].add(text is not None)
            if raises(node):
                coverage[kinds[-1]].add("raises" in (text or "").lower())
    return coverage


def extension_costs(guide: Path) -> dict[str, list[str]]:
    """Return the distinct files that each worked example touches, by its `##` heading."""
    costs: defaultdict[str, list[str]] = defaultdict(list)
    heading, fence = "", ""
    for line in guide.read_text(encoding="utf-8").splitlines() if guide.is_file() else []:
        found = FENCE.match(line)
        if fence:
            if found and found[1].startswith(fence) and not found[2].strip():
                fence = ""
        elif found:
            fence = found[1]
            for file in TOUCHED.findall(found[2]):
                if file not in costs[heading]:
                    costs[heading].append(file)
        elif line.startswith("## "):
            heading = line[3:].strip()
    return dict(costs)


def build_report(root: Path) -> Report:
    """Measure a checkout. Raises SyntaxError and OSError for files that cannot be read."""
    modules = load_modules(root)
    run_time = cycles(import_graph(modules, with_typing=False))
    every = cycles(import_graph(modules, with_typing=True))
    return Report(
        modules=modules_per_package(modules),
        long_functions=long_functions(modules),
        long_files=long_files(modules),
        repeated_names=repeated_names(modules),
        docstrings=docstring_coverage(modules),
        cycles=run_time,
        type_checking_cycles=[group for group in every if group not in run_time],
        extension_costs=extension_costs(root / "docs" / "extending.md"),
    )


def as_json(report: Report) -> str:
    """Return the report as JSON; shares are from 0 to 1."""
    data = asdict(report)
    for kind, coverage in report.docstrings.items():
        data["docstrings"][kind]["share"] = coverage.share
    return json.dumps(data, indent=2)


def section(title: str, lines: list[str]) -> str:
    """Return a title and its indented lines."""
    return "\n".join([title, *(f"  {line}" for line in lines or ["none"])])


def coverage_line(kind: str, coverage: Coverage) -> str:
    """Return `classes: 10 of 12 (83.3%)`."""
    share = "" if coverage.share is None else f" ({coverage.share:.1%})"
    return f"{kind}: {coverage.documented} of {coverage.total}{share}"


def as_text(report: Report) -> str:
    """Return the report for a terminal."""
    names = [f"{name}: {len(files)}" for name, files in report.repeated_names.items()]
    costs = [f"{head}: {len(f)} ({', '.join(f)})" for head, f in report.extension_costs.items()]
    per_package = [f"{count:4} {package}" for package, count in report.modules.items()]
    longest = [f"{lines:4} {place}" for place, lines in report.long_functions]
    files = [f"{lines:4} {file}" for file, lines in report.long_files]
    documented = [coverage_line(*item) for item in report.docstrings.items()]
    total = sum(report.modules.values())
    parts = [
        section(f"Modules: {total}; packages: {len(per_package)}", per_package),
        section(f"Functions over {FUNCTION_LINES} lines: {len(longest)}", longest),
        section(f"Files over {FILE_LINES} lines: {len(files)}", files),
        section(f"Names defined in {SAME_NAME} or more modules: {len(names)}", names),
        section("Public docstrings", documented),
        section(f"Import cycles: {len(report.cycles)}", [" <-> ".join(g) for g in report.cycles]),
        section(
            f"Import cycles with type-checking imports: {len(report.type_checking_cycles)}",
            [" <-> ".join(group) for group in report.type_checking_cycles],
        ),
        section("Extension costs in files (docs/extending.md)", costs),
    ]
    return "\n\n".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Print the report of a checkout; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = Path(__file__).resolve().parent.parent
    parser.add_argument("--root", type=Path, default=default, help="Checkout to measure.")
    parser.add_argument("--json", action="store_true", help="Print JSON.")
    options = parser.parse_args(arguments)
    report = build_report(options.root.resolve())
    print(as_json(report) if options.json else as_text(report))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
