"""Sweeps into jobs: pure expansion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.errors import SweepFileError
from runner.planning import expand, sweepfile
from runner.planning.plan import Plan


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Two models and some images, one in a subfolder, one hidden, one that is none."""
    for name in ("one", "two", "pics/sub", "pics/.hidden"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("a.png", "b.JPG", "sub/c.webp", ".hidden/d.png", ".e.png", "notes.txt"):
        (tmp_path / "pics" / name).touch()
    return tmp_path


def expanded_plan(here: Path, **data: Any) -> Plan:
    base: dict[str, Any] = {"models": ["./one", "./two"], "images": ["pics"], "prompts": ["p"]}
    return expand.expand_sweep(sweepfile.validate(base | data, "test"), here, "test")


def test_jobs_are_models_times_images_times_prompts_times_repeats(here: Path) -> None:
    plan = expanded_plan(here, prompts=["p", "q"], repeats=2)
    assert [path.name for path in plan.images] == ["a.png", "b.JPG", "c.webp"]
    assert len(plan.jobs) == 2 * 3 * 2 * 2
    assert len({(j.entry, j.prompt, j.images, j.repeat) for j in plan.jobs}) == len(plan.jobs)
    assert [j.position for j in plan.jobs] == list(range(len(plan.jobs)))
    assert [j.entry for j in plan.jobs] == sorted(j.entry for j in plan.jobs)


@pytest.mark.parametrize(
    ("images", "groups"),
    [
        ("each", [("a.png",), ("b.JPG",), ("c.webp",)]),
        ("none", [()]),
        ("all", [("a.png", "b.JPG", "c.webp")]),
        (["pics/b.JPG", "pics/a.png"], [("b.JPG", "a.png")]),
    ],
)
def test_prompt_selects_its_images(here: Path, images: Any, groups: Any) -> None:
    plan = expanded_plan(here, models=["./one"], prompts=[{"text": "p", "images": images}])
    assert [tuple(plan.images[i].name for i in j.images) for j in plan.jobs] == groups


def test_globs_list_each_file_once(here: Path) -> None:
    plan = expanded_plan(here, images=["pics/*.png", "pics/a.png", "pics/**/*.webp"])
    assert [path.name for path in plan.images] == ["a.png", "c.webp"]


def test_explicitly_named_file_is_used_with_any_suffix(here: Path) -> None:
    assert [p.name for p in expanded_plan(here, images=["pics/notes.txt"]).images] == ["notes.txt"]


def test_every_missing_path_is_reported_at_once(here: Path) -> None:
    with pytest.raises(SweepFileError) as caught:
        expanded_plan(
            here, models=["./none", "one two", "./one"], images=["pic", "pics/*.gif", "one"]
        )
    message = caught.value.message
    assert "models[0]: './none' is neither a folder nor a hub id" in message
    assert "models[1]" in message
    assert "images[0]: 'pic' does not exist (did you mean pics?)" in message
    assert "images[1]: 'pics/*.gif' matches nothing" in message
    assert "images[2]: 'one' holds no images" in message


def test_images_are_required_only_by_prompts_that_use_them(here: Path) -> None:
    with pytest.raises(SweepFileError, match="`images` is empty"):
        expanded_plan(here, images=[])
    assert len(expanded_plan(here, images=[], prompts=[{"text": "p", "images": "none"}]).jobs) == 2


def test_equal_model_names_need_explicit_names(here: Path) -> None:
    with pytest.raises(SweepFileError, match="is used 2 times"):
        expanded_plan(here, models=["./one", {"id": "./one", "dtype": "float16"}])
    plan = expanded_plan(
        here, models=["./one", {"id": "./one", "name": "half", "dtype": "float16"}]
    )
    assert [entry.name for entry in plan.entries] == ["one", "half"]


def test_hub_ids_and_folders_are_distinguished(here: Path) -> None:
    plan = expanded_plan(here, models=["org/name", "./one", "demo"])
    assert [(e.place.source, e.place.location) for e in plan.entries[:2]] == [
        ("hub", "org/name"),
        ("local", str(here / "one")),
    ]
    assert plan.entries[2].place.source == "local"
    assert plan.entries[2].place.location.endswith("demo_model")


def test_overrides_are_recorded_and_validated_with_the_base(here: Path) -> None:
    model = {"id": "./one", "generation": {"max_new_tokens": 5}, "limits": {"load_s": 7}}
    plan = expanded_plan(here, models=[model, "./two"])
    first, second = plan.entries
    assert (first.generation.max_new_tokens, second.generation.max_new_tokens) == (5, 100)
    assert (first.overrides, second.overrides) == (("max_new_tokens",), ())
    assert (first.limits.load_s, second.limits.load_s) == (7, 600)
    with pytest.raises(SweepFileError, match=r"models\[0\].generation: temperature"):
        expanded_plan(here, models=[{"id": "./one", "generation": {"temperature": 1.0}}])


def test_excluded_jobs_keep_their_position_and_reason(here: Path) -> None:
    rule = {"model": "ONE", "image": "a.*", "reason": "known to fail"}
    plan = expanded_plan(here, exclude=[rule])
    assert [j.skip_reason for j in plan.jobs] == ["known to fail", None, None, None, None, None]


def test_image_exclusion_does_not_apply_to_text_only_jobs(here: Path) -> None:
    prompts = [{"text": "p", "images": "none"}, "q"]
    plan = expanded_plan(here, prompts=prompts, exclude=[{"image": "a*", "reason": "r"}])
    skipped = [j for j in plan.jobs if j.skip_reason]
    assert len(skipped) == 2
    assert all(j.prompt == 1 for j in skipped)


def test_server_model_is_neither_folder_nor_hub_id(here: Path) -> None:
    model = {"id": "one", "engine": "openai", "url": "http://127.0.0.1:1/v1"}
    (entry,) = expanded_plan(here, models=[model]).entries
    assert (entry.place.source, entry.place.location, entry.name) == ("server", "one", "one")
