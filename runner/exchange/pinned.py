"""A sweep file that runs again what ran: models by commit, engines and number types as used.

It is the sweep as it was asked for, with what was left open filled in by what came of it. The
device stays as asked for, since another machine has others; so does whatever never loaded.
Writing it into a bundle is `runner.exchange.bundle`'s business.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import ValidationError
from sqlite_utils import Database

from schemas.commands import Dtype
from schemas.sweep import Sweep

from ..plain import one_line
from ..planning.jobs import DEMO, matches
from . import ExchangeError

WAYS = """
SELECT w.id, w.position, w.name, w.fallback_of, m.source, m.location,
    k.engine, k.dtype, k.device, found.commit_hash, e.python, e.packages
FROM sweep_models AS w JOIN models AS m ON m.id = w.model_id
LEFT JOIN workers AS k ON k.id = (SELECT id FROM workers WHERE sweep_model_id = w.id
    AND engine NOT NULL ORDER BY number DESC LIMIT 1)
LEFT JOIN models AS found ON found.id = k.model_id
LEFT JOIN environments AS e ON e.id = k.environment_id
ORDER BY w.id
"""
# A group of pictures for each question, as the sweep's first model was asked them.
GROUPS = """
SELECT (SELECT json_group_array(image_id) FROM (SELECT image_id FROM job_images
    WHERE job_id = jobs.id ORDER BY position))
FROM jobs WHERE repeat = 1 AND sweep_model_id = (SELECT min(sweep_model_id) FROM jobs)
ORDER BY position
"""


@dataclass(slots=True)
class Pinned:
    """The sweep file's content, and what it says in comments: how it ran, what it leaves out."""

    data: dict[str, Any]
    ran: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def pin(db: Database, files: Mapping[int, str]) -> Pinned | None:
    """The one sweep of `db`; `files` tells each picture's path as the file is to name it.

    None when no question is left to ask. Raises ExchangeError for a sweep whose own words make
    no sense to this version.
    """
    (spec,) = db.execute("SELECT spec FROM sweeps").fetchone()
    try:
        asked = Sweep.model_validate(json.loads(spec))
    except ValidationError as error:
        raise ExchangeError(
            "this sweep cannot be run again as it is stored: it was asked in words that this"
            f" version of vlmsweep does not know ({error.error_count()} of them)"
        ) from error
    out = Pinned(asked.model_dump(mode="json", exclude_none=True))
    out.data["models"] = pin_models(db, asked, out)
    pin_pictures(db, asked, files, out)
    out.data["exclude"] = pin_rules(db, asked, files)
    # What is empty says nothing, and a null that is a choice is to be seen.
    out.data = {key: value for key, value in out.data.items() if value not in ([], {})}
    out.data["image"] = {"max_side": asked.image.max_side}
    return out if out.data.get("prompts") else None


def pin_models(db: Database, asked: Sweep, out: Pinned) -> list[dict[str, Any]]:
    """The models, each as it was really loaded, with its fallbacks."""
    models: list[dict[str, Any]] = []
    for row in db.query(WAYS):
        place = asked.models[row["position"]]
        if row["fallback_of"] is None:
            spec = place.model_dump(mode="json", exclude_defaults=True)
            models.append(spec | {"name": row["name"]} | pins(row, place.id))
            models[-1].pop("fallback", None)
        else:
            back = models[-1].setdefault("fallback", [])
            source = place.fallback[len(back)]
            back.append(source.model_dump(mode="json", exclude_defaults=True))
            back[-1] |= pins(row, source.id)
        out.ran.append(one_line(how_it_ran(row)))
    return models


def pins(row: Mapping[str, Any], asked: str) -> dict[str, Any]:
    """What is known of a model now that was open before."""
    found = {"id": DEMO if asked == DEMO else row["location"]}
    if row["engine"] is None:
        return found
    found["engine"] = row["engine"]
    if row["source"] == "hub" and row["commit_hash"]:
        found["revision"] = row["commit_hash"]
    if row["engine"] != "openai" and row["dtype"] in set(get_args(Dtype)):
        found["dtype"] = row["dtype"]
    return found


def how_it_ran(row: Mapping[str, Any]) -> str:
    """A model's line of the comment."""
    if row["engine"] is None:
        return f"{row['name']}: was never loaded"
    packages = json.loads(row["packages"] or "{}")
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    return f"{row['name']}: on {row['device']}, Python {row['python']}, {versions}"


def pin_pictures(db: Database, asked: Sweep, files: Mapping[int, str], out: Pinned) -> None:
    """The pictures by name, no folder or glob any more; what is not there is left out."""
    groups = [json.loads(group) for (group,) in db.execute(GROUPS)]
    each = sum(prompt.images == "each" for prompt in asked.prompts)
    shared = (len(groups) - len(asked.prompts) + each) // each if each else 0
    prompts: list[dict[str, Any]] = []
    pictures: dict[int, None] = {}
    for prompt in asked.prompts:
        count = shared if prompt.images == "each" else 1
        mine, groups = groups[:count], groups[count:]
        needed = [image for group in mine for image in group]
        if prompt.images in ("each", "all"):
            pictures |= dict.fromkeys(needed)
        one = prompt.model_dump(mode="json", exclude_none=True)
        if prompt.images != "each" and any(image not in files for image in needed):
            what = one_line(prompt.name or prompt.text or "a conversation")
            out.left_out.append(f"the prompt {what!r}: not all of its pictures are here")
            continue
        if isinstance(prompt.images, list):
            one["images"] = [files[image] for image in needed]
        prompts.append(one)
    names = dict(db.execute("SELECT id, name FROM images").fetchall())
    for image in pictures:
        if image not in files:
            out.left_out.append(f"the picture {one_line(names[image])!r}, which is not here")
    there = [files[image] for image in pictures if image in files]
    if not there:
        prompts = [prompt for prompt in prompts if prompt["images"] != "each"]
    out.data["images"], out.data["prompts"] = there, prompts


def pin_rules(db: Database, asked: Sweep, files: Mapping[int, str]) -> list[dict[str, str]]:
    """The rules by which jobs must not run, with the new names of what they were about."""
    ways: Sequence[tuple[str, str, int]] = db.execute(
        "SELECT sweep_models.name, location, sweep_models.position FROM sweep_models"
        " JOIN models ON models.id = model_id WHERE fallback_of IS NULL"
    ).fetchall()
    pictures = db.execute("SELECT id, name, path FROM images").fetchall()
    rules = []
    for rule in asked.exclude:
        models = ["*"]
        if rule.model != "*":
            models = [
                glob.escape(name)
                for name, location, position in ways
                if matches(rule.model, [name, asked.models[position].id, location])
            ]
        images = ["*"]
        if rule.image != "*":
            images = [
                "*" + glob.escape(files[id])
                for id, name, path in pictures
                if id in files and matches(rule.image, [name, path])
            ]
        rules += [
            {"model": model, "image": image, "reason": rule.reason}
            for model in models
            for image in images
        ]
    return rules
