"""Seeds of sampled answers: one base seed per sweep or model, and from it one per repeat."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import replace

from schemas.generation import Generation

from .plan import Plan

LIMIT = 2**31  # some libraries and servers take no larger seed


def base_seed(plan: Plan) -> int | None:
    """Return the sweep's own seed, or a random one if a model samples without a seed, else None."""
    given = plan.sweep.generation.seed
    if given is not None:
        return given
    settings = [entry.generation for entry in plan.entries]
    unseeded = any(one.do_sample and one.seed is None for one in settings)
    return secrets.randbelow(LIMIT) if unseeded else None


def derive_seed(base: int, repeat: int) -> int:
    """Return the seed of a repeat, from 1: the first has the base seed, the others a hash of both.

    A hash and not `base + repeat`, so that sweeps with neighbouring seeds share no samples.
    """
    if repeat == 1:
        return base
    digest = hashlib.sha256(f"{base}:{repeat}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % LIMIT


def with_base_seed(generation: Generation, seed: int | None) -> Generation:
    """Return the settings of a model that samples without a seed with the sweep's `seed`."""
    if not generation.do_sample or generation.seed is not None:
        return generation
    return replace(generation, seed=seed)


def generation_of_repeat(generation: Generation, repeat: int) -> Generation:
    """Return the settings with the seed of a repeat. Greedy decoding has no seed."""
    if not generation.do_sample or generation.seed is None:
        return replace(generation, seed=None)
    return replace(generation, seed=derive_seed(generation.seed, repeat))
