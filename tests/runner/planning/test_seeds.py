"""The base seed of a sweep, and the seeds of its repeats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from runner.planning import expand, seeds, sweepfile
from runner.planning.plan import Plan
from schemas.generation import Generation

SAMPLED = Generation(do_sample=True, seed=7)


def planned(folder: Path, models: list[Any], **generation: Any) -> Plan:
    data = {
        "models": models,
        "prompts": [{"text": "Why?", "images": "none"}],
        "generation": generation,
    }
    return expand.expand_sweep(sweepfile.validate(data, "test"), folder, "test")


def test_first_repeat_has_the_base_seed_and_others_have_their_own() -> None:
    found = [seeds.derive_seed(7, repeat) for repeat in range(1, 1001)]
    assert found[0] == 7
    assert len(set(found)) == 1000
    assert all(0 <= seed < seeds.LIMIT for seed in found)
    assert found == [seeds.derive_seed(7, repeat) for repeat in range(1, 1001)]


def test_derived_seeds_never_change_between_versions() -> None:
    assert [seeds.derive_seed(7, repeat) for repeat in (1, 2, 3)] == [7, 24426764, 1087361719]


def test_neighbouring_base_seeds_share_no_seed() -> None:
    all_of = [seeds.derive_seed(base, repeat) for base in range(20) for repeat in range(1, 51)]
    assert len(set(all_of)) == len(all_of)


def test_a_large_base_seed_is_kept() -> None:
    assert seeds.derive_seed(2**63 - 1, 1) == 2**63 - 1


def test_the_seed_of_the_sweep_file_is_the_base_seed(tmp_path: Path) -> None:
    assert seeds.base_seed(planned(tmp_path, ["org/a"], do_sample=True, seed=3)) == 3
    assert seeds.base_seed(planned(tmp_path, ["org/a"], do_sample=True, seed=0)) == 0


def test_a_base_seed_is_drawn_only_where_a_model_needs_one(tmp_path: Path) -> None:
    assert seeds.base_seed(planned(tmp_path, ["org/a"])) is None
    own = {"id": "org/b", "generation": {"do_sample": True, "seed": 5}}
    assert seeds.base_seed(planned(tmp_path, ["org/a", own])) is None
    unseeded = {"id": "org/b", "generation": {"do_sample": True}}
    drawn = {seeds.base_seed(planned(tmp_path, ["org/a", unseeded])) for _ in range(5)}
    assert len(drawn) > 1
    assert all(seed is not None and 0 <= seed < seeds.LIMIT for seed in drawn)


@pytest.mark.parametrize("seed", [None, 7])
def test_greedy_decoding_has_no_seed(seed: int | None) -> None:
    greedy = Generation(seed=seed)
    assert seeds.generation_of_repeat(greedy, 3).seed is None
    assert seeds.with_base_seed(Generation(), 7).seed is None


def test_only_a_model_without_a_seed_gets_the_base_seed() -> None:
    assert seeds.with_base_seed(Generation(do_sample=True), 9).seed == 9
    assert seeds.with_base_seed(SAMPLED, 9).seed == 7
