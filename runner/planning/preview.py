"""Previews a plan without running it: jobs, sizes, files missing on disk.

Reads file sizes and the hub cache; opens no image, loads no model, and uses neither the network
nor a database.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from schemas.image import VIDEO_SUFFIXES
from schemas.shared import hub_cache

from ..text.sanitize import display_path
from .plan import LoadTarget, Plan, PlannedModel


@dataclass(frozen=True, slots=True)
class ModelPreview:
    """One model. `bytes` is the size of its weights on disk, None if they are missing."""

    model: str
    jobs: int
    skipped: int
    source: str
    location: str
    bytes: int | None
    state: str
    engine: str
    device: str
    dtype: str
    overrides: list[str]
    fallbacks: list[str]


@dataclass(frozen=True, slots=True)
class Preview:
    """A sweep. `missing` lists unreadable or empty image files."""

    name: str | None
    source: str
    jobs: int
    skipped: int
    models: list[ModelPreview]
    prompts: list[str]
    repeats: int
    images: int
    videos: int
    images_bytes: int
    missing: list[str]
    excluded: list[dict[str, Any]]
    generation: dict[str, Any]
    limits: dict[str, Any]
    max_side: int | None
    jobs_with_reference_answers: int
    scoring: list[str]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def preview(plan: Plan) -> Preview:
    """Return the preview of a plan."""
    sizes = {path: size_of(path) for path in plan.images}
    skipped = [job for job in plan.jobs if job.skip_reason is not None]
    reasons = Counter((plan.entries[job.entry].name, job.skip_reason) for job in skipped)
    videos = sum(path.suffix.lower() in VIDEO_SUFFIXES for path in sizes)
    sweep = plan.sweep
    return Preview(
        name=plan.name,
        source=display_path(plan.source),
        jobs=len(plan.jobs) - len(skipped),
        skipped=len(skipped),
        models=[model(plan, entry) for entry in plan.entries],
        prompts=[p.name or p.text or p.turns[-1].text for p in plan.prompts],  # type: ignore[index]
        repeats=sweep.repeats,
        images=len(sizes) - videos,
        videos=videos,
        images_bytes=sum(size for size in sizes.values() if size is not None),
        missing=[display_path(path) for path, size in sizes.items() if not size],
        excluded=[
            {"model": name, "jobs": count, "reason": reason}
            for (name, reason), count in reasons.items()
        ],
        generation=sweep.generation.model_dump(exclude_none=True),
        limits=sweep.limits.model_dump(exclude_none=True),
        max_side=sweep.image.max_side,
        jobs_with_reference_answers=sum(
            job.position in plan.expected.accepted for job in plan.jobs if job.skip_reason is None
        ),
        scoring=list(plan.expected.metrics),
    )


def size_of(path: Path) -> int | None:
    """Return the size of a file in bytes, or None if it is not a readable regular file."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def model(plan: Plan, entry: PlannedModel) -> ModelPreview:
    """Return the preview of one model."""
    mine = [job for job in plan.jobs if job.entry == entry.position]
    skipped = sum(job.skip_reason is not None for job in mine)
    found, state = on_disk(entry.place)
    return ModelPreview(
        model=display_path(entry.name),
        jobs=len(mine) - skipped,
        skipped=skipped,
        source=entry.place.source,
        location=display_path(entry.place.location),
        bytes=found.weights_bytes if found else None,
        state=state,
        engine=entry.place.how.engine,
        device=entry.place.how.device,
        dtype=entry.place.how.dtype,
        overrides=list(entry.overrides),
        fallbacks=[f"{place.how.id}: {on_disk(place)[1]}" for place in entry.fallbacks],
    )


def on_disk(place: LoadTarget) -> tuple[hub_cache.CachedModel | None, str]:
    """Return the model on disk, or None, and its state as text."""
    if place.source == "server":
        return None, f"at {place.how.url}"
    if place.source == "local":
        found = hub_cache.inspect_folder(Path(place.location))
        return found, "folder" if found and found.complete else "folder without whole weights"
    found = hub_cache.find(place.location, place.how.revision)
    if found is not None and found.complete:
        return found, "in the cache"
    state = "not in the cache" if found is None else "partly in the cache"
    offline = hub_cache.offline()
    return found, f"{state}: {'offline, cannot be' if offline else 'will be'} downloaded"
