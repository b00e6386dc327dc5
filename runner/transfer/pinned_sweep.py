"""A sweep file that repeats a sweep: models by commit, engines and number types as used.

It is the requested sweep, with open settings filled in from its runs. The
device stays as requested, since another machine has others; so does whatever never loaded.
`runner.transfer.bundle_writer` writes it into a bundle.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import ValidationError
from sqlite_utils import Database

from schemas.engines import is_remote
from schemas.load_spec import Dtype
from schemas.sweep import Source, Sweep

from ..planning.expand import DEMO, matches
from ..text.sanitize import one_line
from . import ExchangeError

VARIANTS_SQL = """
SELECT w.id, w.position, w.name, w.fallback_of, m.source, m.location,
    w.python AS interpreter, w.requirements,
    k.engine, k.dtype, k.device, found.commit_hash, e.python, e.packages
FROM sweep_models AS w JOIN models AS m ON m.id = w.model_id
LEFT JOIN workers AS k ON k.id = (SELECT id FROM workers WHERE sweep_model_id = w.id
    AND engine NOT NULL ORDER BY number DESC LIMIT 1)
LEFT JOIN models AS found ON found.id = k.model_id
LEFT JOIN environments AS e ON e.id = k.environment_id
ORDER BY w.id
"""
# A group of images for each question, in the order of the sweep's first model.
GROUPS = """
SELECT (SELECT json_group_array(image_id) FROM (SELECT image_id FROM job_images
    WHERE job_id = jobs.id ORDER BY position))
FROM jobs WHERE repeat = 1 AND sweep_model_id = (SELECT min(sweep_model_id) FROM jobs)
ORDER BY position
"""
ANSWERS = """
SELECT DISTINCT answers, metrics, ifnull(prompts.name, prompts.text),
    (SELECT json_group_array(image_id) FROM (SELECT image_id FROM job_images
        WHERE job_images.job_id = jobs.id ORDER BY position))
FROM reference_answers JOIN jobs ON jobs.id = reference_answers.job_id
JOIN prompts ON prompts.id = prompt_id
WHERE repeat = 1 AND sweep_model_id = (SELECT min(sweep_model_id) FROM jobs)
ORDER BY jobs.position
"""


@dataclass(slots=True)
class PinnedSweep:
    """The sweep file's content, and its comments: its environment and its omissions.

    `answers` are the rows of the file of accepted answers that it names, if it does.
    """

    data: dict[str, Any]
    answers: list[dict[str, Any]] = field(default_factory=list)
    ran: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def pin(db: Database, files: Mapping[int, str]) -> PinnedSweep | None:
    """The one sweep of `db`; `files` maps each image to its path in the file.

    None when no question is left to ask. Raises ExchangeError for a sweep whose
    settings this version does not know.
    """
    name, spec, seed = db.execute("SELECT name, spec, seed FROM sweeps").fetchone()
    try:
        asked = Sweep.model_validate(json.loads(spec) | {"name": name})
    except ValidationError as error:
        raise ExchangeError(
            "this sweep cannot be run again as it is stored: this version of vlmsweep"
            f" does not know its settings ({error.error_count()} of them)"
        ) from error
    out = PinnedSweep(asked.model_dump(mode="json", exclude_none=True))
    out.data["models"] = pin_models(db, asked, out)
    pin_seed(asked, seed, out)
    pin_images(db, asked, files, out)
    out.data["exclude"] = pin_rules(db, asked, files)
    pin_answers(db, files, out)
    # Empty values are omitted; a null that is a choice is kept.
    out.data = {key: value for key, value in out.data.items() if value not in ([], {})}
    out.data["image"] = {"max_side": asked.image.max_side}
    return out if out.data.get("prompts") else None


def pin_models(db: Database, asked: Sweep, out: PinnedSweep) -> list[dict[str, Any]]:
    """The models, each as it was really loaded, with its fallbacks."""
    models: list[dict[str, Any]] = []
    for row in db.query(VARIANTS_SQL):
        place = asked.models[row["position"]]
        if row["fallback_of"] is None:
            models.append(pinned(row, place) | {"name": row["name"]})
        else:
            back = models[-1].setdefault("fallback", [])
            back.append(pinned(row, place.fallback[len(back)]))
        out.ran.append(one_line(provenance_comment(row)))
    return models


def pinned(row: Mapping[str, Any], asked: Source) -> dict[str, Any]:
    """A variant of a model, with open settings filled in.

    An interpreter's path is useless elsewhere; its packages are not.
    """
    own = {"fallback", "python", "requirements"}
    spec = asked.model_dump(mode="json", exclude_defaults=True, exclude=own)
    needs = json.loads(row["requirements"] or "[]")
    versions = json.loads(row["packages"] or "{}")
    found = {"requirements": [pin_requirement(need, versions) for need in needs]} if needs else {}
    return spec | pins(row, asked.id) | found


def pin_requirement(need: str, versions: Mapping[str, str]) -> str:
    """A requirement, at the version that was in use, if known."""
    known = {normalize_package(name): version for name, version in versions.items()}
    name = re.match(r"[A-Za-z0-9._-]+(\[[^\]]*\])?", need)
    if name is None or normalize_package(name[0].partition("[")[0]) not in known:
        return need
    # The part after a plus (2.9.0+cpu) belongs to one build and is not requested by name.
    return f"{name[0]}=={known[normalize_package(name[0].partition('[')[0])].partition('+')[0]}"


def normalize_package(name: str) -> str:
    """A package's name as all its spellings have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(row: Mapping[str, Any], asked: str) -> dict[str, Any]:
    """The settings of a model that were open and are now known."""
    found = {"id": DEMO if asked == DEMO else row["location"]}
    if row["engine"] is None:
        return found
    found["engine"] = row["engine"]
    if row["source"] == "hub" and row["commit_hash"]:
        found["revision"] = row["commit_hash"]
    if not is_remote(row["engine"]) and row["dtype"] in set(get_args(Dtype)):
        found["dtype"] = row["dtype"]
    return found


def provenance_comment(row: Mapping[str, Any]) -> str:
    """A model's line of the comment."""
    if row["engine"] is None:
        return f"{row['name']}: was never loaded"
    packages = json.loads(row["packages"] or "{}")
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    own = " of its own" if row["interpreter"] else ""
    return f"{row['name']}: on {row['device']}, Python {row['python']}{own}, {versions}"


def pin_seed(asked: Sweep, seed: int | None, out: PinnedSweep) -> None:
    """Name the seed that was drawn for the models that sample without one."""
    shared = asked.generation
    if seed is None or shared.seed is not None:
        return
    samples = [
        shared.do_sample if model.generation.do_sample is None else model.generation.do_sample
        for model in asked.models
    ]
    if shared.do_sample and all(samples):
        out.data["generation"]["seed"] = seed
        return
    # A model that decodes greedily would refuse a seed of the sweep.
    for data, model, sampled in zip(out.data["models"], asked.models, samples, strict=True):
        if sampled and model.generation.seed is None:
            data["generation"] = data.get("generation", {}) | {"seed": seed}


def pin_images(db: Database, asked: Sweep, files: Mapping[int, str], out: PinnedSweep) -> None:
    """The images by name, no folder or glob any more; what is not there is left out."""
    groups = [json.loads(group) for (group,) in db.execute(GROUPS)]
    each = sum(prompt.images == "each" for prompt in asked.prompts)
    shared = (len(groups) - len(asked.prompts) + each) // each if each else 0
    prompts: list[dict[str, Any]] = []
    images: dict[int, None] = {}
    for prompt in asked.prompts:
        count = shared if prompt.images == "each" else 1
        mine, groups = groups[:count], groups[count:]
        needed = [image for group in mine for image in group]
        if prompt.images in ("each", "all"):
            images |= dict.fromkeys(needed)
        one = prompt.model_dump(mode="json", exclude_none=True)
        if prompt.images != "each" and any(image not in files for image in needed):
            what = one_line(prompt.name or prompt.text or "a conversation")
            out.left_out.append(f"the prompt {what!r}: some of its images are missing")
            continue
        if isinstance(prompt.images, list):
            one["images"] = [files[image] for image in needed]
        prompts.append(one)
    names = dict(db.execute("SELECT id, name FROM images").fetchall())
    for image in images:
        if image not in files:
            out.left_out.append(f"the image {one_line(names[image])!r}, which is missing")
    there = [files[image] for image in images if image in files]
    if not there:
        prompts = [prompt for prompt in prompts if prompt["images"] != "each"]
    out.data["images"], out.data["prompts"] = there, prompts


def pin_rules(db: Database, asked: Sweep, files: Mapping[int, str]) -> list[dict[str, str]]:
    """The exclusion rules, with the new names of their models and images."""
    variants: Sequence[tuple[str, str, int]] = db.execute(
        "SELECT sweep_models.name, location, sweep_models.position FROM sweep_models"
        " JOIN models ON models.id = model_id WHERE fallback_of IS NULL"
    ).fetchall()
    image_paths = db.execute("SELECT id, name, path FROM images").fetchall()
    rules = []
    for rule in asked.exclude:
        models = ["*"]
        if rule.model != "*":
            models = [
                glob.escape(name)
                for name, location, position in variants
                if matches(rule.model, [name, asked.models[position].id, location])
            ]
        images = ["*"]
        if rule.image != "*":
            images = [
                "*" + glob.escape(files[id])
                for id, name, path in image_paths
                if id in files and matches(rule.image, [name, path])
            ]
        rules += [
            {"model": model, "image": image, "reason": rule.reason}
            for model in models
            for image in images
        ]
    return rules


def pin_answers(db: Database, files: Mapping[int, str], out: PinnedSweep) -> None:
    """The accepted answers as a file of them, wherever they came from."""
    out.data.pop("answers", None)
    out.data.pop("scoring", None)
    for accepted, metrics, prompt, images in db.execute(ANSWERS):
        wanted = json.loads(images)
        if all(image in files for image in wanted):
            row = {"prompt": prompt, "answers": json.loads(accepted)}
            out.answers.append({"image": [files[image] for image in wanted]} | row)
            out.data |= {"answers": "answers.jsonl", "scoring": json.loads(metrics)}
