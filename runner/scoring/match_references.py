"""Finds which jobs a file's answers are for: by image (name, path or hash) and by prompt.

It depends on neither database nor plan: both pass `JobKey`s. Files are opened only to hash images,
and only if answers name nothing but a hash.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from ..errors import SweepFileError
from ..text.sanitize import truncate
from ..text.suggest import closest, suggest
from .normalize import fold
from .reference_file import ReferenceAnswer, raise_problems

ALIKE = 0.85


@dataclass(frozen=True, slots=True)
class JobKey:
    """A job: any number that identifies it, its images' absolute paths in order, and its prompt.

    `hashes` are the images' known hashes; equal prompts have equal `prompt`s.
    """

    key: int
    images: tuple[str, ...]
    name: str | None
    text: str
    hashes: tuple[str | None, ...] = ()


def match(
    path: Path, expected: Sequence[ReferenceAnswer], asked: Sequence[JobKey]
) -> dict[int, tuple[str, ...]]:
    """Job to accepted answers; jobs without any are left out.

    Answers for an image and a prompt take precedence over answers for an image only, and those over
    answers for a prompt only. Raises SweepFileError for missing images, ambiguous names, and
    prompts that look misspelt.
    """
    index = ImageIndex(path, asked)
    table: dict[tuple[tuple[str, ...] | None, str | None], list[str]] = {}
    for one in expected:
        for images in index.groups_for(one):
            prompt = None if one.prompt is None else fold(one.prompt)
            table.setdefault((images, prompt), []).extend(one.accepted)
    raise_problems(path, index.problems)
    found = {}
    for job in asked:
        prompts = {fold(text) for text in (job.name, job.text) if text}
        variants = (
            [(job.images, p) for p in prompts] + [(job.images, None)] + [(None, p) for p in prompts]
        )
        accepted = next((table[variant] for variant in variants if variant in table), None)
        if accepted is not None:
            found[job.key] = tuple(accepted)
    raise_problems(path, suspicious_prompts(expected, asked, found))
    if not found:
        raise SweepFileError(
            f"{path}: none of its answers is for anything this sweep asks",
            hint=f"it has {examples(one.prompt for one in expected)};"
            f" the sweep asks {examples(job.name or job.text for job in asked)}",
        )
    return found


class ImageIndex:
    """The sweep's images, indexed by the names that a reference file may use."""

    def __init__(self, path: Path, asked: Iterable[JobKey]) -> None:
        self.base = os.path.abspath(path.parent)  # noqa: PTH100 - links stay as they are
        self.problems: list[str] = []
        self.hashes: dict[str, str | None] = {}
        for job in asked:
            known = job.hashes or (None,) * len(job.images)
            self.hashes |= dict(zip(job.images, known, strict=True))
        self.by_name: dict[str, list[str]] = {}
        for image in self.hashes:
            self.by_name.setdefault(PurePath(image).name, []).append(image)
        self.by_hash: dict[str, tuple[str, ...]] | None = None

    def groups_for(self, one: ReferenceAnswer) -> list[tuple[str, ...] | None]:
        """The images, or groups of them, that answers are for; [None] means any."""
        if not one.images:
            if one.sha256 is None:
                return [None]
            return [(image,) for image in self.find_by_hash(one.sha256)]
        group = [self.named(one, name) for name in one.images]
        return [] if None in group else [tuple(name for name in group if name)]

    def named(self, one: ReferenceAnswer, name: str) -> str | None:
        """The sweep's image of that name; None when it has none, which may be a problem."""
        path = os.path.normpath(Path(self.base, name))
        if path in self.hashes:
            return path
        parts = PurePath(name).parts
        same_name = self.by_name.get(parts[-1], []) if parts else []
        fits = [image for image in same_name if PurePath(image).parts[-len(parts) :] == parts]
        digest = one.sha256 if len(one.images) == 1 else None
        if len(fits) > 1 and digest:
            fits = [image for image in fits if self.digest(image) == digest] or fits
        if not fits and not os.path.lexists(path):
            if digest:
                return next(iter(self.find_by_hash(digest)), None)
            meant = suggest(parts[-1] if parts else name, self.by_name)
            self.problems.append(
                f"{one.where}: neither the sweep nor this folder has {truncate(name, 60)!r}{meant}"
            )
        elif len(fits) > 1:
            places = ", ".join(truncate(image, 80) for image in fits[:3])
            self.problems.append(
                f"{one.where}: {truncate(name, 60)!r} may be any of {places}: give more of its path"
            )
        return fits[0] if len(fits) == 1 else None

    def find_by_hash(self, sha256: str) -> tuple[str, ...]:
        """The images with that content."""
        if self.by_hash is None:
            self.by_hash = {}
            for image in self.hashes:
                if digest := self.digest(image):
                    self.by_hash[digest] = (*self.by_hash.get(digest, ()), image)
        return self.by_hash.get(sha256, ())

    def digest(self, image: str) -> str | None:
        """An image's hash."""
        if self.hashes[image] is None:
            self.hashes[image] = digest_of(image)
        return self.hashes[image]


def digest_of(image: str) -> str | None:
    """A file's SHA-256, or None when it cannot be read: that is for its preparation to say."""
    try:
        with Path(image).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def suspicious_prompts(
    expected: Iterable[ReferenceAnswer], asked: Iterable[JobKey], found: Mapping[int, object]
) -> list[str]:
    """A problem for every prompt of the file that is nearly one which nothing is known for."""
    texts: dict[str, str] = {}
    bare: dict[str, str] = {}
    for job in asked:
        for text in (job.name, job.text):
            if text:
                texts[fold(text)] = text
                bare[fold(text)] = text
    for job in asked:
        if job.key in found:
            for text in (job.name, job.text):
                bare.pop(fold(text or ""), None)
    problems = {}
    for one in expected:
        prompt = fold(one.prompt or "")
        if bare and prompt and prompt not in texts and prompt not in problems:
            meant = closest(prompt, bare, ALIKE)
            if meant is not None:
                problems[prompt] = (
                    f"{one.where}: nothing asks {truncate(one.prompt or '', 60)!r}"
                    f" (did you mean {truncate(bare[meant], 60)!r}?)"
                )
    return list(problems.values())


def examples(prompts: Iterable[str | None]) -> str:
    """A few prompts, in a message."""
    some = [repr(truncate(text, 40)) for text in dict.fromkeys(prompts) if text]
    return ", ".join(some[:3]) + (", ..." if len(some) > 3 else "") if some else "no prompts"
