"""The report's facts about failures, machine, settings and loading, as titled pairs of text.

Plain text, not made harmless: pages and Markdown do that. Unknown figures are left out.
"""

from __future__ import annotations

import json
from typing import Any

from schemas.load_spec import LoadSpec

from ..text import units
from ..view import tables
from .data import Environment, FailureGroup, Model, Record, ReportData

Pairs = list[tuple[str, str]]
LOADED = (
    *("Model", "Asked for", "Commit", "Engine", "Classes", "Device", "Numbers"),
    *("Attention", "Parameters", "Weights", "Notes"),
)


def detail_tables(facts: ReportData) -> dict[str, Any]:
    """All of them, under the names the template knows them by."""
    rows = [loaded(model) for model in facts.models]
    filled = [i for i in range(len(LOADED)) if any(row[i] for row in rows)]
    return {
        "failures": [failure_of(failure, facts) for failure in facts.failures],
        "sheets": [settings_table(facts), *(machine(e) for e in facts.environments)],
        "loaded_titles": [LOADED[i] for i in filled],
        "loaded": [[(LOADED[i], row[i]) for i in filled] for row in rows],
    }


def failure_of(failure: FailureGroup, facts: ReportData) -> dict[str, Any]:
    """A failure with its facts and its long texts."""
    row = failure.row
    stack = row["traceback"] or row["stack"]
    texts = (("Stack", stack), ("End of the worker's log", failure.log))
    return {
        "model": failure.model,
        "name": facts.models[failure.model - 1].name if failure.model else "every model",
        "row": row,
        "jobs": failure.jobs,
        "facts": failure_facts(failure),
        "texts": [(title, text) for title, text in texts if text],
    }


def failure_facts(failure: FailureGroup) -> Pairs:
    """Details of a failure, without its message."""
    row = failure.row
    pairs: list[tuple[str, Any]] = [
        ("Hint", row["hint"]),
        ("Class", row["error_class"]),
        ("Phase", row["phase"]),
        (
            "Jobs",
            "; ".join(failure.examples) + (" …" if failure.jobs > len(failure.examples) else ""),
        ),
        ("Put right", failure.recovered and f"{failure.recovered} ended ok in a later attempt"),
        ("Worker", row["worker_number"] and worker_words(row)),
        ("Partial answer", row["raw_text"]),
    ]
    return [(name, str(value)) for name, value in pairs if value]


def worker_words(row: Record) -> str:
    """`3, killed for run_s in 46 ms, peak 431 MB`."""
    words = [str(row["worker_number"])]
    if row["killed_for"]:
        took = f" in {units.seconds(row['kill_s'])}" if row["kill_s"] is not None else ""
        words.append(f"killed for {row['killed_for']}{took}")
    if row["exit_signal"]:
        words.append(f"died of {row['exit_signal']}")
    if row["exit_code"]:
        words.append(f"exit status {row['exit_code']}")
    if row["peak_rss_bytes"] is not None:
        words.append(f"peak {units.size(row['peak_rss_bytes'])}")
    return ", ".join(words)


def settings_table(facts: ReportData) -> dict[str, Any]:
    """The requested sweep."""
    sweep, spec = facts.sweep, facts.spec
    pairs: Pairs = [("Sweep", f"{sweep['id']}, {sweep['uid']}"), ("From", str(sweep["source"]))]
    pairs += [(name, sweep[key][:19].replace("T", " ")) for name, key in TIMES if sweep[key]]
    if longest := (spec.get("image") or {}).get("max_side"):
        pairs.append(("Images", f"shrunk to {longest} px"))
    if spec.get("repeats", 1) > 1:
        pairs.append(("Repeats", str(spec["repeats"])))
    generation = {k: v for k, v in (spec.get("generation") or {}).items() if v is not None}
    if sweep["seed"] is not None:
        generation["seed"] = sweep["seed"]
    pairs.append(("Generation", ", ".join(f"{k} {v}" for k, v in generation.items())))
    limits = {k: v for k, v in (spec.get("limits") or {}).items() if v is not None}
    pairs.append(("Limits", ", ".join(tables.limit(k, v) for k, v in limits.items())))
    for model in facts.models:
        if own := own_settings(model, limits):
            pairs.append((f"{model.number} {model.name}", own))
    return {"title": "Settings", "words": None, "rows": [pair for pair in pairs if pair[1]]}


TIMES = (("Stored", "created_at"), ("Began", "started_at"), ("Ended", "ended_at"))


def own_settings(model: Model, common: Record) -> str:
    """Settings of a model that differ from the sweep's; `common` are the shared limits."""
    row = model.variants[0].row
    limits = {key: value for key, value in json.loads(row["limits"]).items() if value is not None}
    generation = json.loads(row["generation"])
    words = [
        f"{key} {generation[key]}" for key in json.loads(row["overrides"]) if key in generation
    ]
    words += [
        f"limit {tables.limit(key, value)}"
        for key, value in limits.items()
        if common.get(key) != value
    ]
    words += load_options(model.variants[0].spec)
    return ", ".join(words)


def load_options(spec: LoadSpec) -> list[str]:
    """The load options that differ from their defaults, such as `engine mlx`, `allow_pickle`."""
    words: list[str] = []
    for name, value in spec.changed_options().items():
        if isinstance(value, dict):
            words += [f"{name} {key} {inner}" for key, inner in value.items()]
        else:
            words.append(name if value is True else f"{name} {value}")
    return words


def machine(environment: Environment) -> dict[str, Any]:
    """An environment: the machine and the versions."""
    row = environment.row
    cpu = f"{row['cpu'] or row['machine']}, {row['cores'] or '?'} cores"
    pairs = [("Processor", cpu)]
    if row["memory_bytes"] is not None:
        pairs.append(("Memory", units.size(row["memory_bytes"])))
    if row["accelerator"]:
        pairs.append(("Accelerator", row["accelerator"]))
    pairs += [("System", row["platform"]), ("Python", row["python"])]
    pairs += sorted(json.loads(row["packages"]).items())
    numbers = ", ".join(map(str, environment.numbers))
    words = f"models {numbers}" if len(environment.numbers) > 1 else f"model {numbers}"
    title = "Workers" if environment.numbers else "Supervisor"
    return {"title": title, "words": words if numbers else None, "rows": pairs}


def loaded(model: Model) -> list[str]:
    """The load settings of a model's latest working variant, for the table `LOADED`."""
    variant, worker = next(
        ((variant, variant.loaded) for variant in reversed(model.variants) if variant.loaded),
        (model.variants[0], None),
    )
    name = f"{model.number} {model.name}"
    if worker is None:
        return [name, str(variant.asked["location"]), *[""] * 8, "never loaded"]
    row, found = worker.row, worker.found
    weights, parameters = found.get("weights_bytes"), row["parameters"]
    notes = json.loads(row["notes"] or "[]")
    if variant.row["fallback_of"] is not None:
        notes.insert(0, "by a fallback")
    cells = [
        variant.asked["location"],
        (found.get("commit_hash") or "")[:12],
        row["engine"],
        ", ".join(filter(None, (row["model_class"], row["processor_class"]))),
        row["device"],
        row["dtype"],
        row["attention"],
        None if parameters is None else f"{parameters:,}",
        None if weights is None else units.size(weights),
        "; ".join(notes),
    ]
    return [name, *(str(cell or "") for cell in cells)]
