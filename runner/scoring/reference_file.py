"""Reads files of accepted answers: CSV, JSON lines, or JSON such as `images/manifest.json`.

It validates the file and reports every problem. `runner.scoring.match_references` finds the job
that an answer belongs to.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ..errors import SweepFileError
from ..system import read_file
from ..text.sanitize import display_path, truncate
from ..text.suggest import closest
from ..text.units import pluralize

IMAGE = ("image", "file", "path")
QUESTION = ("prompt", "question")
ACCEPTED = ("answer", "answers")
KNOWN = (*IMAGE, "sha256", *QUESTION, *ACCEPTED)
MAX_BYTES = 500_000_000
SHOWN = 20
FORMS = "columns image, prompt and answer; vlmsweep help scoring shows them"


@dataclass(frozen=True, slots=True)
class ReferenceAnswer:
    """Accepted answers to one question, their position in the file (`where`) and their target.

    No `images`: any image. No `prompt`: any prompt.
    """

    where: str
    images: tuple[str, ...]
    sha256: str | None
    prompt: str | None
    accepted: tuple[str, ...]


class RowProblem(Exception):
    """One thing that is wrong with one row."""


def read(path: Path) -> list[ReferenceAnswer]:
    """All answers of a file, in its order. Raises SweepFileError with all problems."""
    found: list[ReferenceAnswer] = []
    problems: list[str] = []
    rows = list(rows_of(path, read_text(path)))
    if misnamed := check_columns(row for _, row in rows):
        raise SweepFileError(f"{path}: {misnamed}", hint=FORMS)
    for where, row in rows:
        try:
            found += parse_row(where, row)
        except RowProblem as problem:
            problems.append(f"{where}: {problem}")
    raise_problems(path, problems)
    if not found:
        raise SweepFileError(f"{path} holds no answers", hint=FORMS)
    return found


def raise_problems(path: Path, problems: list[str]) -> None:
    """Raises SweepFileError with the first of the problems, if there are any."""
    if not problems:
        return
    count = pluralize(len(problems), "problem")
    lines = "\n".join(f"  {line}" for line in problems[:SHOWN])
    more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
    raise SweepFileError(
        f"{count} in {path}:\n{lines}{more}", hint="vlmsweep help scoring shows the form"
    )


def read_text(path: Path) -> str:
    """The file's text."""
    try:
        return read_file.read_text(path, MAX_BYTES)
    except read_file.UnreadableFileError as error:
        meant = closest(path.name, folder_names(path), 0.75)
        hint = f"did you mean {meant}?" if meant else None
        raise SweepFileError(
            f"cannot read the answers in {display_path(path)}: {error}", hint=hint
        ) from error


def folder_names(path: Path) -> list[str]:
    """The names in a file's folder."""
    try:
        return [other.name for other in path.parent.iterdir()]
    except OSError:
        return []


def rows_of(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each row with its position; the file's suffix selects the format."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        yield from parse_csv(path, text, "," if suffix == ".csv" else "\t")
    elif suffix in (".jsonl", ".ndjson"):
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield (
                    f"line {number}",
                    require_mapping(path, f"line {number}", parse_json(path, line, number)),
                )
    elif suffix == ".json":
        yield from parse_json_document(path, parse_json(path, text, 0))
    else:
        raise SweepFileError(f"{path} is neither .csv, .tsv, .jsonl nor .json by its name")


def parse_csv(path: Path, text: str, delimiter: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The rows of CSV or TSV, named by its first line."""
    reader = csv.DictReader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        reader.fieldnames = [(name or "").strip() for name in reader.fieldnames or []]
        for row in reader:
            where = f"line {reader.line_num}"
            if None in row:
                raise SweepFileError(
                    f"{path}, {where}: more cells than columns",
                    hint=f'an answer that holds the separator goes in quotes: "1{delimiter} 2"',
                )
            yield where, {key: value or None for key, value in row.items()}
    except csv.Error as error:
        raise SweepFileError(f"{path}, line {reader.line_num}: {error}") from error


def parse_json_document(path: Path, data: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """A JSON file's rows: a list of them, such a list under `images`, or image to answers."""
    if isinstance(data, dict) and isinstance(data.get("images"), list):
        for number, row in enumerate(data["images"]):
            yield f"images[{number}]", require_mapping(path, f"images[{number}]", row)
    elif isinstance(data, dict):
        for image, answers in data.items():
            yield f"{truncate(image, 40)!r}", {"image": image, "answers": answers}
    elif isinstance(data, list):
        for number, row in enumerate(data):
            yield f"[{number}]", require_mapping(path, f"[{number}]", row)
    else:
        raise SweepFileError(f"{path} holds neither a list nor a mapping", hint=FORMS)


def parse_json(path: Path, text: str, line: int) -> Any:
    """JSON as data."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f", line {line}" if line else ""
        raise SweepFileError(f"{path}{where} is not valid JSON: {error}") from error


def require_mapping(path: Path, where: str, row: Any) -> Mapping[str, Any]:
    """A row, which has to be a mapping."""
    if not isinstance(row, dict):
        raise SweepFileError(
            f"{path}, {where}: should be a mapping, not {quote_value(row)}", hint=FORMS
        )
    return row


def check_columns(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """A message about wrong column names, or None. Unknown columns are ignored."""
    keys = dict.fromkeys(key for row in rows for key in row)
    if not keys:
        return None
    there = ", ".join(truncate(key, 30) for key in keys)
    for key in keys:
        absent = [name for name in KNOWN if name not in keys]
        if key not in KNOWN and (meant := closest(key, absent, 0.8)):
            return f"unknown column {truncate(key, 30)!r}, did you mean {meant}?"
    if not set(ACCEPTED) & set(keys):
        return f"there is no column answer or answers; there are {there}"
    if not {*IMAGE, "sha256", *QUESTION} & set(keys):
        return f"there is no column image, sha256 or prompt; there are {there}"
    return None


def parse_row(where: str, row: Mapping[str, Any]) -> Iterator[ReferenceAnswer]:
    """A row's answers: one Expected, or one for each prompt where answers are named by prompts."""
    image_cell = first_filled(row, IMAGE)
    images = tuple(parse_answers(image_cell)) if image_cell is not None else ()
    digest, prompt = row.get("sha256"), first_filled(row, QUESTION)
    for name, value in (("sha256", digest), ("prompt", prompt)):
        if value is not None and not isinstance(value, str):
            raise RowProblem(f"{name} should be text, not {quote_value(value)}")
    given = [row[key] for key in ACCEPTED if row.get(key) is not None]
    for answers in given:
        if isinstance(answers, dict) and prompt is not None:
            raise RowProblem("has a prompt, and answers by prompt too: give one of them")
        by_prompt = answers if isinstance(answers, dict) else {prompt: answers}
        for asked, accepted in by_prompt.items():
            some = tuple(parse_answers(accepted))
            if not (images or digest or asked):
                raise RowProblem("names neither an image nor a prompt")
            if some:
                yield ReferenceAnswer(where, images, digest and digest.lower(), asked, some)


def first_filled(row: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The first of some columns that is filled."""
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def parse_answers(value: Any) -> Iterator[str]:
    """One text or many, numbers as they are written; a CSV cell may hold a JSON list."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            value = [value]
    for one in value if isinstance(value, list) else [value]:
        inner = one.get("answer") if isinstance(one, dict) else one  # as VQA's annotations are
        if isinstance(inner, bool) or not isinstance(inner, str | int | float):
            raise RowProblem(f"should be text or a list of texts, not {quote_value(inner)}")
        if str(inner).strip():
            yield str(inner).strip()


def quote_value(value: Any) -> str:
    """A value in a message."""
    return truncate(json.dumps(value, ensure_ascii=False), 50)
