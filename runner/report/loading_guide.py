"""A model loading reference from measurements: how each model of a sweep was loaded.

Facts of families come from the workers' side, by `runner.planning.family_info`; all else from the
sweep's rows. A model that was not loaded gets only its family's entries.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from schemas.engines import engines

from ..text import units
from ..view.grid import Column
from ..view.markdown_html import escape_markdown as escaped
from ..view.markdown_html import markdown_table
from . import loading_snippet
from .data import FailureGroup, LoadAttempt, Model, Record, ReportData, Worker

Family = Mapping[str, Any]
Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class GuideEntry:
    """One model: its measurements, each variant that was tried, facts about its family.

    `code` loads it by hand, if a few lines can; else `no_code` is the reason.
    """

    model: str
    status: str
    facts: Pairs
    variants: list[str]
    known: Pairs
    code: str | None
    no_code: str | None


def entries(facts: ReportData, families: Sequence[Family]) -> list[GuideEntry]:
    """One per model of the sweep."""
    named = {family["name"]: family for family in families}
    return [entry(model, facts, named) for model in facts.models]


def as_records(guide: Sequence[GuideEntry]) -> list[dict[str, Any]]:
    """For machines: the same, facts under their titles."""
    return [{**asdict(one), "facts": dict(one.facts), "known": dict(one.known)} for one in guide]


def entry(model: Model, facts: ReportData, families: Mapping[str, Family]) -> GuideEntry:
    """The entry of one model."""
    variant = next((variant for variant in reversed(model.variants) if variant.loaded), None)
    worker = variant.loaded if variant is not None else None
    family = families.get(worker.row["family"], {}) if worker is not None else {}
    code: str | None = None
    why: str | None = "it was never loaded here"
    if variant is not None and worker is not None:
        code, why = loading_snippet.snippet(variant, worker, family, facts)
    return GuideEntry(
        model=model.name,
        status=str(model.summary["status"]),
        facts=[*(loading(variant, worker, family) if variant and worker else []), *measured(model)],
        variants=[describe_attempt(w, model, facts.failures) for w in model.variants],
        known=family_facts(family),
        code=code,
        no_code=why,
    )


def loading(variant: LoadAttempt, worker: Worker, family: Family) -> Pairs:
    """The load settings in effect."""
    row, asked, spec = worker.row, variant.row, variant.spec
    packages = json.loads(worker.environment["packages"]) if worker.environment else {}
    libraries = engines()[row["engine"]].libraries if row["engine"] in engines() else ()
    library = next(iter(libraries), row["engine"])
    version = f" {packages[library]}" if library in packages else ""
    with_torch = f", torch {packages['torch']}" if "torch" in packages else ""
    commit = worker.found.get("commit_hash") or variant.asked["revision"]
    extra = json.loads(asked["requirements"] or "[]") or list(family.get("extra_packages", ()))
    allowed = "allowed, as requested"
    has_custom_code = "not allowed" if family.get("remote_code") else None
    pairs: list[tuple[str, Any]] = [
        ("From", variant.asked["location"]),
        ("Commit", commit),
        ("Engine", f"{library}{version}{with_torch}"),
        ("Class", row["model_class"]),
        ("Processor class", row["processor_class"]),
        ("Numbers", f"{row['dtype']} ({row['dtype_reason']})"),
        ("Device", row["device"]),
        ("Attention", row["attention"]),
        ("Parameters", row["parameters"] and f"{row['parameters']:,}"),
        ("Weights", sized(worker.found.get("weights_bytes"))),
        ("Family", family.get("title")),
        ("Prompt format", family.get("prompt_format")),
        ("Image form", family.get("image_form")),
        ("Extra packages", ", ".join(extra)),
        ("Its own Python", asked["python"]),
        ("Its own code", allowed if spec.trust_remote_code else has_custom_code),
        ("Pickled weights", allowed if spec.allow_pickle else None),
        ("Settings of its processor", format_settings(spec.processor)),
        ("Notes of the load", "; ".join(json.loads(row["notes"] or "[]"))),
    ]
    return [(name, str(value)) for name, value in pairs if value]


def measured(model: Model) -> Pairs:
    """Its costs, as in the summary table."""
    row = model.summary
    parts = [variant.loaded.row for variant in model.variants if variant.loaded]
    detail = ""
    if parts and None not in (last := [parts[-1][key] for key in LOAD_PARTS.values()]):
        shown = zip(LOAD_PARTS, map(units.seconds, last), strict=True)
        detail = f" (latest: {', '.join(f'{name} {took}' for name, took in shown)})"
    speeds = ("prompt", row["prompt_tps"]), ("answer", row["generation_tps"])
    pairs = [
        ("Load time", row["load_s"] is not None and units.seconds(row["load_s"]) + detail),
        ("Inference time", row["latency_s"] is not None and units.seconds(row["latency_s"])),
        ("First word after", row["ttft_s"] is not None and units.seconds(row["ttft_s"])),
        (
            "Tokens per second",
            ", ".join(f"{name} {units.rate(v)}" for name, v in speeds if v is not None),
        ),
        ("Peak memory", sized(row["peak_rss_bytes"])),
        ("Device memory", sized(row["peak_device_bytes"])),
        ("Success", row["success_rate"] is not None and units.share(row["success_rate"])),
    ]
    return [(name, str(value)) for name, value in pairs if value]


LOAD_PARTS = {"imports": "import_s", "weights": "weights_s", "processor": "processor_s"}


def sized(value: int | None) -> str | None:
    """A byte count with its unit."""
    return None if value is None else units.size(value)


def format_settings(given: Record) -> str:
    """`do_image_splitting false`."""
    return ", ".join(f"{name} {json.dumps(value)}" for name, value in given.items())


def describe_attempt(variant: LoadAttempt, model: Model, failures: Sequence[FailureGroup]) -> str:
    """One load variant and its result, in a sentence."""
    first = variant.row["fallback_of"] is None
    keys = ("engine", "dtype", "device")
    asked = [f"{key} {variant.row[key]}" for key in keys if variant.row[key] != "auto"]
    name = f"{'As named' if first else 'Fallback'}: {variant.asked['location']}"
    name += f" ({', '.join(asked)})" if asked else ""
    if not variant.workers:
        return f"{name}: not tried"
    parts = []
    if variant.loaded is not None:
        parts.append(f"loaded in {units.seconds(variant.loaded.row['load_s'])}")
    parts += [
        f"{count(failure)}: {failure.row['message'] or failure.row['outcome']}"
        + (f" ({failure.row['hint']})" if failure.row["hint"] else "")
        for failure in failures
        if failure.model == model.number
        and (failure.row["variant_id"] or model.variants[0].row["id"]) == variant.row["id"]
    ]
    return f"{name}: {'; '.join(parts) or 'no job was run'}"


def count(failure: FailureGroup) -> str:
    """`3 jobs ended in timeout`."""
    jobs = units.pluralize(failure.jobs, "job")
    return f"{jobs} ended in {failure.row['outcome'].replace('_', ' ')}"


def family_facts(family: Family) -> Pairs:
    """Known facts about the family, whether or not they were observed here."""
    pairs = [
        ("Loaded by", family.get("how_loaded")),
        ("Official use", family.get("official_use")),
        ("Known failures", family.get("what_fails")),
        ("Notes", " ".join(family.get("notes", ()))),
    ]
    return [(name, text) for name, text in pairs if text]


def guide_markdown(facts: ReportData, guide: Sequence[GuideEntry]) -> str:
    """The reference as a Markdown file."""
    return "\n".join(guide_lines(facts, guide)) + "\n"


def guide_lines(facts: ReportData, guide: Sequence[GuideEntry]) -> Iterator[str]:
    """Its lines."""
    yield "# Model loading reference"
    yield ""
    yield from provenance(facts)
    for number, one in enumerate(guide, start=1):
        yield from ("", f"## {number}. {escaped(one.model)}", "")
        columns = [Column("", ""), Column("", "")]
        yield from markdown_table(columns, [["Status", one.status], *map(list, one.facts)])
        yield from ("", "**What was tried**", "")
        yield from (f"{i}. {escaped(variant)}" for i, variant in enumerate(one.variants, start=1))
        if one.known:
            yield from ("", "**About the family**", "")
            yield from (f"- {escaped(name)}: {escaped(text)}" for name, text in one.known)
        yield ""
        if one.code:
            yield from ("```python", *one.code.splitlines(), "```")
        else:
            yield f"No short code: {escaped(one.no_code or '')}."


def provenance(facts: ReportData) -> Iterator[str]:
    """The machine, date and sweep of the measurements."""
    row = facts.environments[0].row
    memory = f", {units.size(row['memory_bytes'])}" if row["memory_bytes"] is not None else ""
    used = dict.fromkeys(each.row["accelerator"] for each in facts.environments)
    device = "".join(f", {name}" for name in used if name and name != row["cpu"])
    machine = f"{row['cpu'] or row['machine']}, {row['cores'] or '?'} cores{memory}{device}"
    day = (facts.sweep["started_at"] or facts.sweep["created_at"])[:10]
    uid = f" ({facts.sweep['uid']})" if facts.sweep["name"] else ""
    yield escaped(f"Measured on {day} in sweep {facts.title}{uid}.")
    yield ""
    yield escaped(f"{machine}; {row['platform']}; Python {row['python']}.")
