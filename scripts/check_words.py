"""Check names and prose against two word lists; exit code 1 when something is found.

    python scripts/check_words.py [--count] [--root DIR] [--names | --prose] [PATH ...]

`private_words.txt` lists names that must not come back: modules, definitions, imports, parameters,
attributes, columns and keys. `plain_words.txt` lists wordings that are hard to read, each with a
plain one; they are searched in docstrings, comments, messages, help texts and documentation. With
PATH, only these files and folders are read. A line that ends in `# words: ok`
(`<!-- words: ok -->` in Markdown) is accepted as it is.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from prose import Prose, blank_code, comment_prose, markdown_prose, string_prose

HERE = Path(__file__).resolve().parent
DEFINITIONS = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PACKAGES = ("runner", "workers", "schemas", "vlmsweep", "images", "tests", "scripts")
KINDS = ("*.py", "*.sql", "*.md")
ACCEPTED = "words: ok"
# Strings in these files are questions and answers for models; only docstrings and comments count.
DATA = (
    *("scripts/demo_phrasings.py", "scripts/demo_questions.py"),
    *("scripts/history_texts.py", "scripts/make_sample_images.py"),
    # A training text, and a chat template as it was published.
    *("scripts/tiny/common.py", "scripts/tiny/qwen2_5_vl.py"),
)


@dataclass(frozen=True)
class Finding:
    """One rejected name or wording."""

    file: str
    line: int
    found: str
    better: str

    def __str__(self) -> str:
        return f'{self.file}:{self.line}: "{self.found}" -> {self.better}'


@dataclass
class Names:
    """The names that must not come back; see the head of `private_words.txt`."""

    modules: dict[str, str] = field(default_factory=dict)
    everywhere: dict[str, str] = field(default_factory=dict)
    bindings: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    in_file: dict[tuple[str, str], str] = field(default_factory=dict)


def data_lines(path: Path) -> Iterator[list[str]]:
    """Yield the tab-separated fields of each line that is neither empty nor a comment."""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.split("\t")


def load_names(path: Path) -> Names:
    """Read the list of private names. Raises ValueError for a line of an unknown kind."""
    names = Names()
    for kind, *rest in data_lines(path):
        if kind == "module":
            names.modules[rest[0]] = rest[1]
        elif kind == "name":
            names.everywhere[rest[0]] = rest[1]
        elif kind == "binding":
            names.bindings[rest[0]] = rest[1]
        elif kind == "text":
            names.texts[rest[0]] = rest[1]
        elif kind == "local":
            names.in_file[rest[0], rest[1]] = rest[2]
        else:
            raise ValueError(f"{path.name}: unknown kind {kind!r}")
    return names


def load_patterns(path: Path) -> list[tuple[re.Pattern[str], str]]:
    """Read the wordings to reject, each with the better one."""
    found = []
    for pattern, better in data_lines(path):
        spaced = pattern.replace(" ", r"\s+")
        compiled = re.compile(rf"(?<![\w-])(?:{spaced})(?![\w-])", re.IGNORECASE)
        found.append((compiled, better))
    return found


def dotted(file: str) -> str:
    """Return the module name of a file given relative to the root."""
    name = file.removesuffix(".py").replace("/", ".")
    return name.removesuffix(".__init__")


def imported_modules(node: ast.AST, module: str, is_package: bool) -> list[str]:
    """Return the dotted names that an import statement may refer to."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    if node.level:
        keep = module.split(".")
        keep = keep[: len(keep) - node.level + is_package]
        base = ".".join([*keep, base] if base else keep)
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]


def pytest_keywords(tree: ast.Module) -> set[ast.keyword]:
    """Return the keyword arguments of calls such as `pytest.param`; their names are pytest's."""
    return {
        keyword
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("pytest.")
        for keyword in node.keywords
    }


def bound_names(node: ast.AST) -> list[str]:
    """Return the names that a node defines: definitions, imports, parameters, constants."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[-1] for alias in node.names]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.keyword) and node.arg:
        return [node.arg]
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    return []


def text_findings(file: str, text: str, start: int, names: Names) -> Iterator[Finding]:
    """Yield private columns and keys in a string or an SQL file that begins at line `start`."""
    for number, line in enumerate(text.split("\n"), start):
        for word in re.findall(r"\w+", line):
            if word in names.texts:
                yield Finding(file, number, word, names.texts[word])


def name_findings(file: str, tree: ast.Module, names: Names) -> Iterator[Finding]:
    """Yield private names that a module uses or defines."""
    module, is_package = dotted(file), file.endswith("__init__.py")
    if module in names.modules:
        yield Finding(file, 1, module, names.modules[module])
    foreign = pytest_keywords(tree)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        for target in imported_modules(node, module, is_package):
            if target in names.modules:
                yield Finding(file, line, target, names.modules[target])
        for name in bound_names(node) if node not in foreign else ():
            better = names.everywhere.get(name) or names.bindings.get(name)
            if better:
                yield Finding(file, line, name, better)
        if isinstance(node, ast.Attribute) and node.attr in names.everywhere:
            yield Finding(file, line, node.attr, names.everywhere[node.attr])
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from text_findings(file, node.value, line, names)
        if isinstance(node, DEFINITIONS) and (file, node.name) in names.in_file:
            yield Finding(file, line, node.name, names.in_file[file, node.name])


def prose_findings(
    file: str, source: str, pieces: Iterator[Prose], patterns: list[tuple[re.Pattern[str], str]]
) -> Iterator[Finding]:
    """Yield the wordings to replace, unless their line is marked as accepted."""
    lines = source.splitlines()
    for piece in pieces:
        text = blank_code(piece.text)
        taken: set[int] = set()
        for pattern, better in patterns:
            for match in pattern.finditer(text):
                if not taken.isdisjoint(range(*match.span())):
                    continue
                taken.update(range(*match.span()))
                line = min(piece.start + text.count("\n", 0, match.start()), piece.end)
                marked = {line, piece.end if piece.is_string else line}
                if not any(ACCEPTED in lines[number - 1] for number in marked):
                    yield Finding(file, line, " ".join(match[0].split()), better)


def files_in(path: Path, kinds: Iterable[str]) -> list[Path]:
    """Return a file, or the files of these kinds below a folder."""
    if not path.is_dir():
        return [path]
    return sorted(file for kind in kinds for file in path.rglob(kind))


def checked_files(root: Path, only: list[str]) -> list[Path]:
    """Return the files to read: sources, README, CHANGELOG and docs, or those of `only`.

    A folder means its Python, SQL and Markdown files.
    """
    if only:
        return [file for name in only for file in files_in(Path(name).resolve(), KINDS)]
    folders = [root / name for name in PACKAGES if (root / name).is_dir()]
    sources = [file for folder in folders for file in files_in(folder, KINDS[:2])]
    texts = [*root.glob("*.md"), *(root / "docs").glob("*.md"), *(root / ".github").rglob("*.md")]
    return sorted(sources) + sorted(texts)


def relative(path: Path, root: Path) -> str:
    """Return a path relative to the root, or as it is when it is outside."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()


def check_file(
    path: Path, root: Path, names: Names | None, patterns: list[tuple[re.Pattern[str], str]]
) -> list[Finding]:
    """Return all findings of one file, in line order. Raises SyntaxError and OSError."""
    file, source = relative(path, root), path.read_text(encoding="utf-8")
    if path.suffix == ".sql":
        return list(text_findings(file, source, 1, names)) if names else []
    if path.suffix != ".py":
        return list(prose_findings(file, source, markdown_prose(file, source), patterns))
    tree = ast.parse(source, file)
    lines = source.splitlines()
    found = list(name_findings(file, tree, names)) if names else []
    found = [finding for finding in found if ACCEPTED not in "".join(lines[finding.line - 1 :][:1])]
    strings = string_prose(tree, with_messages=not file.startswith(("tests/", *DATA)))
    found += prose_findings(file, source, strings, patterns)
    found += prose_findings(file, source, comment_prose(source), patterns)
    return sorted(set(found), key=lambda finding: (finding.line, finding.found))


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    summary, _, details = (__doc__ or "").partition("\n\n")
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=summary, epilog=details, formatter_class=formatter)
    parser.add_argument(
        "paths", nargs="*", metavar="PATH", help="Check only these files and folders."
    )
    parser.add_argument("--root", type=Path, default=HERE.parent, help="Checkout to read.")
    parser.add_argument("--count", action="store_true", help="Print counts per file.")
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--names", action="store_true", help="Check names only.")
    only.add_argument("--prose", action="store_true", help="Check prose only.")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Check a checkout and print the findings; return the exit code."""
    options = parse_arguments(arguments)
    root = options.root.resolve()
    names = None if options.prose else load_names(HERE / "private_words.txt")
    patterns = [] if options.names else load_patterns(HERE / "plain_words.txt")
    found = [
        finding
        for path in checked_files(root, options.paths)
        for finding in check_file(path, root, names, patterns)
    ]
    if options.count:
        for file, count in Counter(finding.file for finding in found).most_common():
            print(f"{count:5} {file}")
    else:
        print(*found, sep="\n", end="\n" if found else "")
    files = len({finding.file for finding in found})
    print(f"{len(found)} findings in {files} files", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
