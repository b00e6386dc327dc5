"""Cases to report, made of rows as the database would give them."""

from __future__ import annotations

import json
from typing import Any

from runner.bug_report.run_record import RunRecord
from schemas.load_spec import OPTIONS, LoadSpec
from schemas.rows import TABLES
from schemas.sweep import Limits

LOCATION = {"source": "hub", "location": "org/model", "revision": None}


def row(table: str, **values: Any) -> dict[str, Any]:
    """A row with every column of its table, NULL unless given."""
    return dict.fromkeys(TABLES[table].__annotations__) | values


def image(**values: Any) -> dict[str, Any]:
    facts = {"name": "a.jpg", "kind": "image", "format": "JPEG", "mode": "RGB", "frames": 1}
    sizes = {"width": 40, "height": 30, "orientation": 6, "source_bytes": 999}
    made = {"prepared_width": 30, "prepared_height": 40, "source_sha256": "ab" * 32}
    return row("images", **facts | sizes | made | values)


def case(
    run: dict[str, Any] | None = None,
    variant: dict[str, Any] | None = None,
    worker: dict[str, Any] | None = None,
    **more: Any,
) -> RunRecord:
    """An ordinary failure on the transformers engine, with other values laid over it."""
    turns = more.pop("turns", [{"role": "user", "text": "What is this?"}])
    generation = more.pop("generation", {"max_new_tokens": 50, "do_sample": False})
    asked = {"generation": json.dumps(generation), "limits": Limits().model_dump_json()}
    settings = dict(variant or {})
    options = {name: settings.pop(name) for name in OPTIONS if name in settings}
    failed = {"id": 1, "outcome": "error", "phase": "generate", "message": "ValueError: x"}
    loaded = {
        "engine": "transformers",
        "device": "cuda:0",
        "dtype": "bfloat16",
        "family": "generic",
    }
    machine = {"python": "3.12.1", "platform": "Linux", "machine": "x86_64"}
    environment = row("environments", packages='{"torch": "2.9"}', **machine)
    parts: dict[str, Any] = {
        "model": row("models", **LOCATION),
        "found": row("models", **LOCATION, commit_hash="c0ffee"),
        "environment": environment,
        "supervisor": environment,
        "images": [image()],
        "log": "",
    }
    return RunRecord(
        run=row("runs", **failed | (run or {})),
        variant=row("sweep_models", **asked | settings),
        spec=LoadSpec(**options),
        worker=row("workers", **loaded | worker)
        if worker is not None
        else row("workers", **loaded),
        prompt=row("prompts", turns=json.dumps(turns)),
        **parts | more,
    )
