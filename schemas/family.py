"""Facts about one family of models: readable notes, and how to recognise it.

Plain standard-library data, shared by the workers (which match and load by it) and the runner
(which prints it). Hooks that touch model libraries are in `workers/families/hooks/`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclusion:
    """Images that one engine can't do with this family, in old versions of a package.

    It concerns versions of `package` lower than `below`, and images of the shape `images`
    ("square", "portrait", "landscape" or "any", as prepared). `reason` is reported with the job.
    """

    engine: str
    package: str
    below: str
    images: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One family. A checkpoint belongs to it by its config's own words, never by its name.

    `model_types`, `architectures` and `auto_map` (class names) are compared with the keys of
    the same name in `config.json`. `engines` is in order of preference. `extra_packages` are
    names to install with pip; `extra_repositories` are hub ids that the checkpoint's own code
    reads in addition. The other texts are readable notes of a sentence or two each.
    """

    name: str
    title: str
    model_types: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    auto_map: tuple[str, ...] = ()
    engines: tuple[str, ...] = ("transformers",)
    example_ids: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    remote_code: bool = False
    official_use: str = ""
    what_fails: str = ""
    how_loaded: str = ""
    prompt_format: str = ""
    image_form: str = ""
    extra_packages: tuple[str, ...] = ()
    extra_repositories: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
