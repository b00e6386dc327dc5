"""Generates what follows from the code: docs/results.md, docs/models.md and the JSON Schemas.

`schemas.rows` documents every column, the other types the valid values; this script formats them.
`--check` writes nothing and fails if a file is not up to date.
"""

from __future__ import annotations

import argparse
import json
import sys
import typing
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from runner.database.schema_docs import type_name
from runner.planning import family_info
from runner.scoring.metrics import built_in_metrics
from schemas import rows
from schemas.commands import Command
from schemas.events import Event
from schemas.stream import EVENT_TYPES
from schemas.sweep import Sweep

ROOT = Path(__file__).resolve().parent.parent
PREAMBLE = ROOT / "scripts" / "results-preamble.md"
SCHEMAS: dict[str, Any] = {
    "sweep": Sweep,
    "commands": Annotated[Command, Field(discriminator="command")],
    "events": Annotated[Event, Field(discriminator="event")],
    "stream": Annotated[reduce(or_, EVENT_TYPES), Field(discriminator="event")],
}

FACTS = {
    "how_loaded": "Loaded by",
    "engines": "Engines",
    "example_ids": "Ids",
    "aliases": "Short names",
    "prompt_format": "Prompt",
    "image_form": "Images",
    "official_use": "Official use",
    "what_fails": "Known errors",
    "remote_code": "Remote code",
    "extra_packages": "Needs also",
    "extra_repositories": "Reads also from",
    "exclusions": "Excluded images",
    "notes": "Notes",
}


def section(name: str, row: type) -> str:
    """A table or view, column by column."""
    lines = [f"### `{name}`", "", (row.__doc__ or "").strip(), ""]
    lines += ["| column | type | meaning |", "|---|---|---|"]
    for column, hint in typing.get_type_hints(row, include_extras=True).items():
        kind, meaning = typing.get_args(hint)
        lines.append(f"| `{column}` | {type_name(kind)} | {meaning} |")
    return "\n".join(lines)


def results() -> str:
    """The whole of docs/results.md."""
    parts = [PREAMBLE.read_text().rstrip(), "## Views"]
    parts += [section(name, row) for name, row in rows.VIEWS.items()]
    parts.append("## Tables")
    parts += [section(name, row) for name, row in rows.TABLES.items()]
    return "\n\n".join(parts) + "\n"


def models() -> str:
    """The whole of docs/models.md, from what the workers' side says of itself."""
    parts = [
        "# Model families",
        "The loading procedure of each family, and the errors that other procedures give. A"
        " checkpoint's family is determined by its config, never by its name; unknown checkpoints"
        " use the generic family. `vlmsweep models` prints the same; `vlmsweep models --check ID`"
        " reports whether a model can run on this machine.",
        "A LoRA adapter (adapter_config.json), alone or in the folder of a model's weights, is"
        " refused as `unsupported` by plan and run, with both engines: it is neither applied nor"
        " ignored."
        " The message has the commands that merge it into its base with peft. To use the weights"
        " without it, move the adapter's files elsewhere.",
        "*Generated from `workers/families/` by `scripts/make_docs.py`.*",
    ]
    for family in family_info.run_describe()["families"]:
        parts.append(f"## {family['title']}")
        rows = [(title, as_text(family[key])) for key, title in FACTS.items()]
        table = [f"| {title} | {text} |" for title, text in rows if text]
        parts.append("\n".join(["| | |", "|---|---|", *table]))
    return "\n\n".join(parts) + "\n"


def as_text(value: Any) -> str:
    """A family's fact as a cell of a Markdown table."""
    if isinstance(value, bool):
        return "needed" if value else ""
    if isinstance(value, list):
        return "<br>".join(as_text(part) for part in value)
    if isinstance(value, dict):
        return f"{value['package']} below {value['below']}, {value['images']}: {value['reason']}"
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def files() -> dict[Path, str]:
    """Returns every generated file with its content."""
    found = {ROOT / "docs" / "results.md": results(), ROOT / "docs" / "models.md": models()}
    for name, kind in SCHEMAS.items():
        schema = TypeAdapter(kind).json_schema()
        if kind is Sweep:
            schema["$defs"]["Metric"] = metric_schema()
            schema["properties"]["scoring"] = name_metrics(schema["properties"]["scoring"])
        text = json.dumps(schema, indent=1, sort_keys=True) + "\n"
        found[ROOT / "schemas" / "json" / f"{name}.schema.json"] = text
    return found


def metric_schema() -> dict[str, Any]:
    """The names of the metrics, for editors to complete; installed packages may add others."""
    metrics = sorted(built_in_metrics(), key=lambda kind: -kind.priority)
    known = [{"const": m.name, "description": f"1 is {m.description}."} for m in metrics]
    return {"anyOf": [*known, {"minLength": 1, "type": "string"}]}


def name_metrics(schema: Any) -> Any:
    """The schema of a list of metrics, with each string replaced by a reference to `Metric`."""
    if isinstance(schema, dict):
        if schema.get("type") == "string":
            return {"$ref": "#/$defs/Metric"}
        return {key: name_metrics(value) for key, value in schema.items()}
    return [name_metrics(value) for value in schema] if isinstance(schema, list) else schema


def main() -> int:
    """Writes the files, or lists those that are out of date."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if stale")
    check = parser.parse_args().check
    stale = [p for p, text in files().items() if not p.exists() or p.read_text() != text]
    for path in stale:
        if check:
            print(f"{path.relative_to(ROOT)} is stale: run python scripts/make_docs.py")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files()[path])
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
