"""Measure how often the demo model is right about images it has never seen.

This file exists so that anyone can check the model card's figures, on a CPU, through the ordinary
`from_pretrained` path of transformers. The images are drawn from seeds below
FIRST_TRAINING_SEED, which training never touches. An answer is right if it equals the true one,
case and the final full stop aside. It says nothing about photographs: the model knows none.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from demo_drawing import FIRST_TRAINING_SEED, draw, random_scene
from demo_questions import ASKERS, Answered, ask_aside, vary
from PIL import Image
from transformers import AutoModelForImageTextToText, AutoProcessor

DEMO_MODEL = Path(__file__).resolve().parent.parent / "workers" / "demo_model"
BARS = {"shape": 0.95, "colour": 0.95, "count": 0.90, "position": 0.90}
BATCH = 32


@dataclass(frozen=True)
class Trial:
    """One question about one image (or about none)."""

    image: Image.Image | None
    asked: Answered


def clean(answer: str) -> str:
    """Take away what does not matter to an answer."""
    return answer.strip().rstrip(".").strip().casefold()


def wilson(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson 95% interval of a share."""
    share, extra = right / total, z * z / total
    middle = (share + extra / 2) / (1 + extra)
    reach = z / (1 + extra) * math.sqrt(share * (1 - share) / total + extra / (4 * total))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def trials(images: int, seed: int) -> list[Trial]:
    """Ask each image one question of every kind that fits it, and one aside."""
    if seed < 0 or seed + images > FIRST_TRAINING_SEED:
        raise SystemExit(f"held-out seeds lie from 0 to {FIRST_TRAINING_SEED - 1}")
    made = []
    for index in range(seed, seed + images):
        scene, rng = random_scene(index), random.Random(f"held out {index}")
        image = draw(scene)
        for ask in ASKERS.values():
            asked = next((a for a in (ask(scene, rng) for _ in range(4)) if a is not None), None)
            if asked is not None:
                made.append(Trial(image, vary(asked, rng)))
        aside = ask_aside(scene, rng)
        made.append(Trial(image if aside.sees else None, aside))
    return made


def answer_batch(model: Any, processor: Any, batch: list[Trial]) -> list[str]:
    """Ask a batch, greedily; all with an image or all without."""
    texts = []
    for trial in batch:
        parts: list[dict[str, str]] = [{"type": "text", "text": trial.asked.question}]
        if trial.image is not None:
            parts.insert(0, {"type": "image"})
        message = [{"role": "user", "content": parts}]
        texts.append(processor.apply_chat_template(message, add_generation_prompt=True))
    images = [[trial.image] for trial in batch if trial.image is not None]
    inputs = processor(text=texts, images=images or None, padding=True, return_tensors="pt")
    with torch.inference_mode():
        output = model.generate(**inputs, max_new_tokens=64, do_sample=False)
    new = output[:, inputs["input_ids"].shape[1] :]
    return list(processor.batch_decode(new, skip_special_tokens=True))


def measure(folder: Path, made: list[Trial], show: int) -> dict[str, dict[str, Any]]:
    """Answer every trial and count what is right, by kind of question."""
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder)
    tally: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    # Long answers hold a batch up, so questions of a kind go together.
    made = sorted(made, key=lambda t: (t.image is None, t.asked.kind, len(t.asked.answer)))
    seeing = sum(trial.image is not None for trial in made)
    edges = [*range(0, seeing, BATCH), *range(seeing, len(made), BATCH), len(made)]
    for start, end in itertools.pairwise(edges):
        batch = made[start:end]
        for trial, answer in zip(batch, answer_batch(model, processor, batch), strict=True):
            right = clean(answer) == clean(trial.asked.answer)
            tally[trial.asked.kind][0] += right
            tally[trial.asked.kind][1] += 1
            if not right and show > 0:
                show -= 1
                print(f"  wrong: {trial.asked.question!r}: {answer.strip()!r}, "
                      f"truly {trial.asked.answer!r}", file=sys.stderr)  # fmt: skip
    return {
        kind: {"n": total, "right": right, "share": right / total, "wilson": wilson(right, total)}
        for kind, (right, total) in sorted(tally.items())
    }


def main() -> int:
    """Measure, print, and return 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description="Measure the demo model on held-out images.")
    parser.add_argument("--model", type=Path, default=DEMO_MODEL, help="folder of the checkpoint")
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--seed", type=int, default=20_000, help="seed of the first image")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--show-wrong", type=int, default=0, help="number of wrong answers to print"
    )
    args = parser.parse_args()
    began = time.monotonic()
    results = measure(args.model, trials(args.images, args.seed), args.show_wrong)
    missed = [
        kind for kind, bar in BARS.items() if kind not in results or results[kind]["share"] < bar
    ]
    if args.json:
        print(json.dumps({"results": results, "missed": missed}, indent=2))
    else:
        for kind, row in results.items():
            low, high = row["wilson"]
            bar = f"  bar {BARS[kind]:.0%}" if kind in BARS else ""
            print(
                f"{kind:14} {row['share']:7.2%}  n={row['n']:<5} "
                f"95% interval {low:.1%} to {high:.1%}{bar}"
            )
        print(f"{args.images} images in {time.monotonic() - began:.0f} s")
        print(f"below the bar: {', '.join(missed)}" if missed else "every bar is met")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
