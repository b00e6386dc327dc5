"""Run by `test_two_majors` in each environment: what tiny checkpoints answer here, as JSON.

    python tests/helpers/answer_all_families.py CHECKPOINTS IMAGE... -- FAMILY...

One process for all families, though a worker only ever has one model: that is for speed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import transformers

from schemas.commands import Load, Run, Turn
from schemas.generation import Generation
from workers.checkpoint import read_checkpoint
from workers.conversation import answer_all
from workers.engines.transformers import TransformersEngine
from workers.families import find_family

LIMIT = 64  # so that Phi-3.5-vision passes the length at which its code starts a new cache
PROMPTS = ("What colour is it?", "How many squares are there?")


def answers(folder: Path, images: list[str]) -> dict[str, Any]:
    """Texts and counts of one checkpoint, and the notes of its load."""
    checkpoint = read_checkpoint(folder)
    engine = TransformersEngine()
    family = find_family(checkpoint.config)
    ask = Load(model=str(folder), local=True, device="cpu", trust_remote_code=True)
    loaded = engine.load(checkpoint, family, ask, lambda event: None)
    found = []
    for image in images:
        for prompt in PROMPTS:
            turns = (Turn(text=prompt, images=(image,)),)
            run = Run(run=1, turns=turns, generation=Generation(max_new_tokens=LIMIT))
            done = answer_all(run, engine, lambda event: None, lambda phase: None)
            counts = (done.input_tokens, done.image_tokens, done.image_tiles, done.output_tokens)
            found.append([done.raw_text, done.finish_reason, *counts])
    return {"runs": found, "notes": loaded.notes}


def main() -> None:
    """Print one JSON object: the library's version, and each family's answers."""
    split = sys.argv.index("--")
    checkpoints, images = Path(sys.argv[1]), sys.argv[2:split]
    families = {name: answers(checkpoints / name, images) for name in sys.argv[split + 1 :]}
    print(json.dumps({"version": transformers.__version__, "families": families}))


if __name__ == "__main__":
    main()
