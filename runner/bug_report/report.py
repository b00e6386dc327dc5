"""A run's failure as a bug report in Markdown, ready to be pasted into the project's tracker.

All output of models, libraries and files is placed in fences or as code, so that nothing of it can
act; paths are without home folders, and secrets are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.states import Outcome

from .. import __version__
from ..text.sanitize import one_line
from ..text.units import seconds, size
from . import repro_common
from .project import Project, project
from .redact import (
    code_block,
    collapse_progress_bars,
    current_first,
    inline_code,
    last_lines,
    redact,
)
from .repro import snippet
from .run_record import RunRecord

LOG_LINES, LOG_CHARACTERS = 40, 6000
TRACE_LINES, TRACE_CHARACTERS = 120, 16_000
EXPECTED = {
    "download_s": "The model's files within {0}.",
    "load_s": "The model to be loaded within {0}.",
    "first_token_s": "The first token within {0} of the question.",
    "run_s": "The whole answer within {0}.",
    "silence_s": "New text, or between two questions a sign of life, at least every {0}.",
    "memory_bytes": "An answer with at most {0} of memory in the whole process tree.",
    "image_ignored": "The image's tokens among the input, and an answer that looks at it.",
    "out_of_memory": "An answer with the memory that there was, or an error that says how much.",
    "crashed": "An answer or a Python exception, but not the end of the process.",
    "ok": "(This run ended well: please write the answer you expected.)",
}


def write_report_text(case: RunRecord) -> tuple[str, Project]:
    """The report, and where it is to go."""
    to = project(case)
    sections = [
        f"# {title(case)}",
        f"<!-- Report to: {safe_comment(address(to))} -->",
        *section_what_happened(case),
        "## Expected",
        section_expected(case),
        "## To reproduce",
        code_block(snippet(case), "python"),
        *images(case),
        "## Where it ran",
        *versions(case),
    ]
    return redact("\n\n".join(sections)) + "\n", to


def address(to: Project) -> str:
    """The address of a report, in a line."""
    return f"{to.name}{f', {to.url}' if to.url else ''} ({to.why})"


def safe_comment(text: str) -> str:
    """A text that can't end a comment."""
    return re.sub(r"-(?=[->])|>", "", one_line(text))


def title(case: RunRecord) -> str:
    """The model and the failure, in a line."""
    run = case.run
    what = run["outcome"].replace("_", " ") + (f" in {run['phase']}" if run["phase"] else "")
    message = str(run["message"] or "").strip().splitlines()
    name = str(case.model["location"])
    if case.model["source"] == "local":  # a path says nothing to others
        name = Path(name).name
    return (
        inline_code(name)
        + f": {what}"
        + (f": {inline_code(redact(message[0])[:120])}" if message else "")
    )


def section_what_happened(case: RunRecord) -> Iterator[str]:
    """The result of the run, with all evidence."""
    run, worker = case.run, case.worker
    yield "## Actual result"
    facts = [
        f"- outcome: {run['outcome']}" + (f", in phase {run['phase']}" if run["phase"] else "")
    ]
    facts += [f"- class: {inline_code(run['error_class'])}"] if run["error_class"] else []
    facts += list(exit_description(case))
    yield "\n".join(facts)
    if run["message"]:
        yield code_block(redact(run["message"]))
    for stack in dict.fromkeys(filter(None, (run["traceback"], worker.get("stack")))):
        if "most recent call first" in stack:
            yield "### Python stack when it was killed"
            yield code_block(current_first(redact(stack), TRACE_LINES))
        else:
            yield "### Traceback"
            yield code_block(last_lines(redact(stack), TRACE_LINES, TRACE_CHARACTERS))
    if reply := run["raw_text"]:
        yield "### Output of the model" + ("" if run["outcome"] == Outcome.OK else " (incomplete)")
        yield code_block(last_lines(redact(reply), LOG_LINES, LOG_CHARACTERS))
    if log := last_lines(
        redact(collapse_progress_bars(case.log)), LOG_LINES, LOG_CHARACTERS
    ).strip():
        yield "### Last lines that the process printed"
        yield code_block(log)


def exit_description(case: RunRecord) -> Iterator[str]:
    """The way the process ended, if it did not exit by itself."""
    worker = case.worker
    if limit := worker.get("killed_for"):
        given = case.limits.get(limit)
        at = f" ({shown(limit, given)})" if given else ""
        yield f"- it was killed for the limit {inline_code(limit)}{at}" + (
            f", by {inline_code(worker['kill_signals'])}" if worker["kill_signals"] else ""
        )
        if worker["killed_processes"] is not None:
            yield (
                f"- processes killed: {worker['killed_processes']}, all gone after"
                f" {seconds(worker['kill_s'] or 0)}"
                + (f", but {worker['survivors']} outlived it" if worker["survivors"] else "")
            )
    elif worker.get("exit_signal"):
        yield f"- the process was ended by {inline_code(worker['exit_signal'])}"
    elif worker.get("exit_code"):
        yield f"- the process left with exit status {worker['exit_code']}"
    peaks = {"peak memory": "peak_rss_bytes", "peak device memory": "peak_device_bytes"}
    for name, key in peaks.items():
        if worker.get(key) is not None:
            yield f"- {name}: {size(worker[key])} ({inline_code(worker[key])} bytes)"


def shown(limit: str, value: Any) -> str:
    """A limit with its unit."""
    return size(value) if limit.endswith("_bytes") else seconds(value)


def section_expected(case: RunRecord) -> str:
    """The result that was expected."""
    run, limit = case.run, case.worker.get("killed_for")
    if limit in EXPECTED and (value := case.limits.get(limit)):
        return EXPECTED[limit].format(shown(limit, value))
    for key in (run["error_class"], run["outcome"]):
        if key in EXPECTED:
            return EXPECTED[key]
    return "An answer to the question, as the same call gives for other models and images."


def images(case: RunRecord) -> Iterator[str]:
    """Facts about the images, which may not be public themselves."""
    if not case.images:
        return
    rows = ["| file | stored as | pixels | EXIF orientation | bytes | sha256 | given as |"]
    rows.append("|---|---|---|---|---|---|---|")
    for row, names in zip(case.images, repro_common.image_files(case), strict=True):
        stored = " ".join(str(row[key]) for key in ("format", "mode") if row[key])
        frames = f", {row['frames']} frames" if (row["frames"] or 1) > 1 else ""
        given = "not decodable"
        if row["prepared_width"]:
            given = f"RGB PNG, {row['prepared_width']} x {row['prepared_height']}, upright"
        side = f"{row['width']} x {row['height']}" if row["width"] else "unknown"
        turned = row["orientation"] or "none"
        cells = [
            names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}",
            stored + frames or "unknown",
            side,
            turned,
        ]
        cells += [row["source_bytes"] or "unknown", row["source_sha256"] or "unknown", given]
        # Even in code a bar would end a cell.
        rows.append(
            "| " + " | ".join(inline_code(cell).replace("|", "\\|") for cell in cells) + " |"
        )
    yield "The program reads the images as the model got them. Their sources:"
    yield "\n".join(rows)


def versions(case: RunRecord) -> Iterator[str]:
    """The environment of the worker; the supervisor's, where it did not come to tell."""
    env, worker = case.environment or case.supervisor, case.worker
    lines = [
        f"- Python {inline_code(env['python'])}, {inline_code(env['platform'])},"
        f" {inline_code(env['machine'])}"
    ]
    machine = [env["cpu"] and inline_code(env["cpu"]), env["cores"] and f"{env['cores']} cores"]
    machine += [env["memory_bytes"] and f"{size(env['memory_bytes'])} of memory"]
    machine += [env["accelerator"] and inline_code(env["accelerator"])]
    lines.append("- " + ", ".join(part for part in machine if part))
    lines += [
        f"- {inline_code(name)} {inline_code(version)}" for name, version in case.packages.items()
    ]
    if not case.packages:
        lines.append("- library versions: unknown, the process ended before it reported them")
    loaded = ("model_class", "processor_class", "device", "dtype", "attention")
    lines += [
        f"- {key.replace('_', ' ')}: {inline_code(worker[key])}"
        for key in loaded
        if worker.get(key)
    ]
    if found := case.found.get("commit_hash"):
        lines.append(f"- commit of the model: {inline_code(found)}")
    lines += [f"- note: {inline_code(note)}" for note in json.loads(worker.get("notes") or "[]")]
    lines += [f"- note: {inline_code(note)}" for note in json.loads(case.run["notes"] or "[]")]
    yield "\n".join(lines)
    yield f"Seen with vlmsweep {__version__}, which ran the model in its own process."
