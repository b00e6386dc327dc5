"""Extract prose from Python and Markdown files: docstrings, messages, comments, text without code.

Used by check_words.py.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass

SQL = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE FROM|CREATE|PRAGMA|WHERE|JOIN|LIMIT \d)\b")
REGEX = re.compile(r"\\[bdswWS]|\(\?|\.[*+]|\]\+")
TOOL_COMMENT = re.compile(r"\s*(noqa|type:|fmt:|ruff:|pragma:|mypy:|!)")
CODE = re.compile(r"```.*?^\s*```|``[^`]+``|`[^`\n]+`|https?://\S+", re.DOTALL | re.MULTILINE)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Prose:
    """A piece of prose, the lines it starts and ends on, and whether it is a string literal."""

    text: str
    start: int
    end: int
    is_string: bool = False


def docstring_nodes(tree: ast.Module) -> set[int]:
    """Return the ids of the constants that are docstrings."""
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, DOCUMENTED) and node.body and isinstance(node.body[0], ast.Expr)
    }


def is_prose(text: str) -> bool:
    """Tell messages and help texts from keys, SQL and regular expressions."""
    return " " in text.strip() and not SQL.search(text) and not REGEX.search(text)


def string_prose(tree: ast.Module, with_messages: bool) -> Iterator[Prose]:
    """Yield the docstrings of a module and, if asked for, its other strings that are prose."""
    docstrings = docstring_nodes(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if id(node) in docstrings or (with_messages and is_prose(node.value)):
            yield Prose(node.value, node.lineno, node.end_lineno or node.lineno, True)


def comment_prose(source: str) -> Iterator[Prose]:
    """Yield comments; those on consecutive lines are joined."""
    lines: list[str] = []
    start = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or TOOL_COMMENT.match(token.string[1:]):
            continue
        if lines and token.start[0] != start + len(lines):
            yield Prose("\n".join(lines), start, start + len(lines) - 1)
            lines = []
        if not lines:
            start = token.start[0]
        lines.append(token.string[1:])
    if lines:
        yield Prose("\n".join(lines), start, start + len(lines) - 1)


def blank_code(text: str) -> str:
    """Replace code and addresses by characters that no pattern matches; keep the length."""
    return CODE.sub(lambda match: re.sub(r"[^\n]", "\u00b7", match[0]), text)


def markdown_prose(file: str, source: str) -> Iterator[Prose]:
    """Yield a Markdown file; of a changelog, only the newest section."""
    if file.rsplit("/", 1)[-1] == "CHANGELOG.md":
        source = "".join(re.split(r"(?m)^(?=## )", source)[:2])
    yield Prose(source, 1, max(1, len(source.splitlines())))
