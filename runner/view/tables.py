"""Columns and titles of each command. Definitions only.

Rows come from `runner.database.reader` and its like; `runner.view.formats` writes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from schemas.states import Outcome, SweepState

from ..database.reader import QueryResult
from ..text import units
from ..text.sanitize import one_line
from .grid import Column, Grid, grid, kind_of
from .sweep_state import describe_state

if TYPE_CHECKING:
    from schemas.stream import ModelFetched

    from ..planning.preview import Preview

Record = Mapping[str, Any]


def answer_or_message(row: Record) -> Any:
    """The answer of a job, or the failure message."""
    return row["text"] if row["outcome"] == Outcome.OK else row["message"]


COUNTED = ("ok", "failed", "unusable_images", "skipped", "waiting")


def outcome(row: Record) -> str:
    """The result of a sweep as text."""
    counts = [f"{row[key]} {key.replace('_', ' ')}" for key in COUNTED if row[key]]
    return ", ".join([*([describe_state(row)] if row["state"] != SweepState.DONE else []), *counts])


def model_settings(row: Record) -> str:
    """A planned model's own choices."""
    return ", ".join(row[key] for key in ("engine", "device", "dtype") if row[key] != "auto")


def percent(mean: float | None, low: float | None, high: float | None) -> str | None:
    """A score and its interval in hundredths: `83.3% (71–91)`."""
    if mean is None or low is None or high is None:
        return None
    return f"{units.share(mean)} ({100 * low:.0f}–{100 * high:.0f})"


def score(row: Record) -> str | None:
    """A model's score by the metric that sums up."""
    words = percent(row.get("score"), row.get("score_low"), row.get("score_high"))
    return words and f"{row['score_metric']} {words}"


SUMMARY = (
    Column("model", "Model", least=16, middle=True),
    Column("load_s", "Load time", "seconds"),
    Column("latency_s", "Inference time", "seconds"),
    Column("status", "Status", least=12),
    Column("prompt_tps", "Prompt tokens/s", "rate", below=True),
    Column("generation_tps", "Answer tokens/s", "rate", below=True),
    Column("peak_rss_bytes", "Peak memory", "bytes", below=True),
    Column("peak_device_bytes", "Device memory", "bytes", optional=True, below=True),
    Column("success_rate", "Success", "share", below=True),
    Column("score", "Score", least=18, optional=True, of=score),
    Column("notes", "Notes", least=30, aside=True),
)
SCORES = (
    Column("sweep", "Sweep", least=8),
    Column("model", "Model", least=16, middle=True),
    Column("metric", "Metric"),
    Column("mean", "Score", "share"),
    Column("low", "95% from", "share"),
    Column("high", "to", "share"),
    Column("n", "Answered", "number"),
    Column("known", "Of", "number"),
)
RESULTS = (
    Column("model", "Model", least=8, middle=True),
    Column("image", "Image", least=8),
    Column("prompt", "Prompt", least=8),
    Column("repeat", "No", "number"),
    Column("outcome", "Outcome", least=7),
    Column("latency_s", "Time", "seconds"),
    Column("output_tokens", "Tokens", "number"),
    Column("text", "Text", least=12, of=answer_or_message),
)
SWEEPS = (
    Column("number", "No", "number"),
    Column("name", "Name"),
    Column("created_at", "Stored (UTC)", of=lambda row: row["created_at"][:16].replace("T", " ")),
    Column("uid", "Uid", least=15),
    Column("models", "Models", "number"),
    Column("jobs", "Jobs", "number"),
    Column("state", "Outcome", least=14, of=outcome),
)
PLANNED = (
    Column("model", "Model", least=12, middle=True),
    Column("jobs", "Jobs", "number"),
    Column("skipped", "Excluded", "number"),
    Column("bytes", "Weights", "bytes"),
    Column("state", "On disk", least=12),
    Column("engine", "Settings", least=8, optional=True, of=model_settings),
)
CHECK = (
    Column("model", "Model"),
    Column("ready", "Can run here"),
    Column("family", "Family"),
    Column("engine", "Engine"),
    Column("weights_bytes", "Weights", "bytes"),
    Column("folder", "Folder"),
    Column("missing_packages", "Missing packages"),
    Column("error_class", "Problem"),
    Column("message", "Message"),
    Column("hint", "Hint"),
)
FETCHED = (
    Column("model", "Model", least=12, middle=True),
    Column("weights_bytes", "Weights", "bytes"),
    Column("download_s", "Time", "seconds"),
    Column("state", "State", of=lambda row: "there" if row["message"] is None else "missing"),
    Column("message", "Why", least=30, aside=True, optional=True),
    Column("hint", "Hint", least=30, aside=True, optional=True),
)
FAMILIES = (
    Column("name", "Family"),
    Column("title", "Title"),
    Column("engines", "Engines"),
    Column("how_loaded", "Loaded by"),
    Column("prompt_format", "Prompt"),
    Column("image_form", "Images"),
    Column("remote_code", "Remote code"),
    Column("extra_packages", "Needs also"),
    Column("what_fails", "Known failures"),
    Column("aliases", "Aliases"),
    Column("example_ids", "Examples"),
    Column("cached", "In the cache"),
)


def summary_table(rows: Sequence[Record]) -> Grid:
    """The guide's table."""
    return grid(rows, SUMMARY)


def results(rows: Sequence[Record]) -> Grid:
    """A row per job; shows the message if there is no text."""
    repeated = any(row["repeat"] > 1 for row in rows)
    return grid(rows, [c for c in RESULTS if repeated or c.key != "repeat"])


def scores_table(rows: Sequence[Record]) -> Grid:
    """A row per model and metric, of one sweep or several."""
    several = len({row["sweep"] for row in rows}) > 1
    return grid(rows, SCORES if several else SCORES[1:])


def sweeps(rows: Sequence[Record]) -> Grid:
    """The sweeps stored."""
    return grid(rows, SWEEPS)


def plan_table(seen: Preview) -> Grid:
    """A row per planned model."""
    return grid([asdict(model) for model in seen.models], PLANNED)


def fetch_table(done: Iterable[ModelFetched]) -> Grid:
    """The results of a fetch."""
    return grid([asdict(one) for one in done], FETCHED)


def families(rows: Sequence[Record]) -> Grid:
    """The families known."""
    return grid(rows, FAMILIES, blocks=True)


def model_check_table(found: Record) -> Grid:
    """The known facts about a model."""
    problem = found["problem"] or {}
    row = {**found, "hint": found["install"], **problem, "ready": readiness_text(found)}
    return grid([row], CHECK, blocks=True)


def readiness_text(found: Record) -> str:
    """Whether a model can run, as text."""
    if found["problem"]:
        return "no"
    if found["missing_packages"]:
        return "no: packages are missing"
    return "yes" if found["folder"] else "it has to be fetched first"


def query_table(answer: QueryResult) -> Grid:
    """A query's own columns, their units guessed by their names."""
    columns = [Column(name, name, kind_of(name)) for name in answer.names]
    return Grid(answer.names, answer.rows, columns)


def plan_lines(seen: Preview) -> Iterator[str]:
    """The lines of a plan in addition to its table."""
    asked = units.pluralize(len(seen.prompts), "prompt")
    repeats = f", {seen.repeats} times each" if seen.repeats > 1 else ""
    shown = [units.pluralize(seen.images, "image")] if seen.images or not seen.videos else []
    shown += [units.pluralize(seen.videos, "video")] if seen.videos else []
    yield f"{units.pluralize(seen.jobs, 'job')}: {asked}, {' and '.join(shown)}{repeats}"
    shrunk = f", shrunk to {seen.max_side} px" if seen.max_side else ""
    yield f"Images: {units.size(seen.images_bytes)}{shrunk}"
    if seen.scoring:
        known = units.pluralize(seen.jobs_with_reference_answers, "job")
        yield f"Answers: known for {known}, scored by {', '.join(seen.scoring)}"
    for row in seen.excluded:
        yield one_line(
            f"Excluded: {units.pluralize(row['jobs'], 'job')} of {row['model']}: {row['reason']}"
        )
    settings = ", ".join(f"{key} {value}" for key, value in seen.generation.items())
    yield f"Generation: {settings}"
    yield "Limits: " + ", ".join(limit(key, value) for key, value in seen.limits.items())


def limit(key: str, value: float) -> str:
    """`load 10 min 0 s`, from load_s and 600."""
    kind = kind_of(key)
    name = key.removesuffix("_s").removesuffix("_bytes").replace("_", " ")
    shown = units.size(value) if kind == "bytes" else f"{value:g}" + " s" * (kind == "seconds")
    return f"{name} {shown}"
