"""Draw the demo model's training data in many processes, into memory they share.

This file exists so that a fast trainer never waits for the slow drawing: workers fill slots, the
pool takes them in and hands out random batches. A row holds several questions about one image,
kept apart by segment numbers, so that they share one pass of the vision tower. It trains nothing.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from demo_checkpoint import END, FAKE, GLOBAL, GRID, IMAGE, IMAGE_TOKENS, SIDE, START, squeeze
from demo_drawing import FIRST_TRAINING_SEED, Scene, draw, patch_labels, random_scene
from demo_questions import Answered, ask_any, ask_aside
from tokenizers import Tokenizer

ROOM = 188  # tokens of questions and answers a row holds, behind the image's
CHUNK = 128  # images per worker hands over at once
ALONE = 64  # segments from this number on see no image


class Rows:
    """Turn scenes into rows of training data: tokens, segments, positions, answer answer_mask."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.known: dict[str, list[int]] = {}
        self.prefix = self.ids(f"{START}User:{FAKE}{GLOBAL}{IMAGE * IMAGE_TOKENS}{FAKE}")
        self.first_image = self.prefix.index(self.ids(IMAGE)[0])

    def ids(self, text: str) -> list[int]:
        """Tokenise, remembering what was tokenised before."""
        if text not in self.known:
            if len(self.known) > 200_000:
                self.known.clear()
            self.known[text] = self.tokenizer.encode(text).ids
        return self.known[text]

    def segment(self, turns: list[Answered]) -> tuple[list[int], list[int]]:
        """Tokens of one conversation behind the image, and which of them are answers."""
        tokens: list[int] = []
        answer_mask: list[int] = []
        for number, turn in enumerate(turns):
            lead = "" if turn.sees else f"{START}User: "
            asked = self.ids((f"\nUser: {turn.question}" if number else lead + turn.question) + END)
            answer = self.ids(f" {turn.answer}{END}")
            asked = asked + self.ids("\nAssistant:")
            tokens += asked + answer
            answer_mask += [0] * len(asked) + [1] * len(answer)
        return tokens, answer_mask

    def row(self, scene: Scene, rng: random.Random) -> np.ndarray:
        """Fill one row (tokens, segment, position, answer mark) with conversations."""
        row = np.zeros((4, ROOM), np.int16)
        row[1] = 2 * ALONE  # padding sees only padding
        used, number = 0, 1
        while number < 12:
            if rng.random() < 0.08:
                turns = [ask_aside(scene, rng)]
            else:
                turns = [ask_any(scene, rng) for _ in range(rng.choice((1, 1, 1, 1, 2, 3)))]
            tokens, answer_mask = self.segment(turns)
            if used + len(tokens) > ROOM:
                break
            sees = turns[0].sees
            start = len(self.prefix) if sees else 0
            span = slice(used, used + len(tokens))
            row[0, span] = tokens
            row[1, span] = number if sees else ALONE + number
            row[2, span] = np.arange(start, start + len(tokens))
            row[3, span] = answer_mask
            used, number = used + len(tokens), number + 1
        return row


FIELDS: dict[str, tuple[tuple[int, ...], type]] = {
    "pictures": ((SIDE, SIDE, 3), np.uint8),
    "rows": ((4, ROOM), np.int16),
    "labels": ((GRID, GRID), np.uint8),
    "centres": ((GRID, GRID), np.uint8),
}


def _draw_forever(rows: Rows, seeds: Iterator[int], slots: Any, free: Any, ready: Any) -> None:
    """Fill whatever slot is free with CHUNK new images, until the parent goes away."""
    parent = os.getppid()
    os.nice(15)  # the one process that feeds the GPU must not wait for a core
    while os.getppid() == parent:
        slot = free.get()
        if slot is None:
            return
        for index in range(CHUNK):
            seed = next(seeds)
            scene = random_scene(seed)
            rng = random.Random(f"questions {seed}")
            slots["pictures"][slot, index] = np.asarray(squeeze(draw(scene)))
            slots["rows"][slot, index] = rows.row(scene, rng)
            labels, centres = patch_labels(scene, GRID)
            slots["labels"][slot, index] = labels
            slots["centres"][slot, index] = centres
        ready.put(slot)


class Feed:
    """Worker processes that draw into shared memory."""

    def __init__(self, workers: int, seed: int, tokenizer: Tokenizer) -> None:
        context = multiprocessing.get_context("fork")
        count = workers * 3
        self.slots: dict[str, np.ndarray] = {}
        for name, (shape, kind) in FIELDS.items():
            full = (count, CHUNK, *shape)
            memory = mmap.mmap(-1, int(np.prod(full)) * np.dtype(kind).itemsize)
            self.slots[name] = np.frombuffer(memory, kind).reshape(full)
        self.free, self.ready = context.SimpleQueue(), context.Queue()
        for slot in range(count):
            self.free.put(slot)
        self.pool = []
        for worker in range(workers):
            start = FIRST_TRAINING_SEED * (1 + seed) + worker
            seeds = iter(range(start, start + 10**9 * 900, workers))
            work = (Rows(tokenizer), seeds, self.slots, self.free, self.ready)
            self.pool.append(context.Process(target=_draw_forever, args=work, daemon=True))
            self.pool[-1].start()

    def stop(self) -> None:
        """End the workers."""
        for process in self.pool:
            process.terminate()


@dataclass
class Pool:
    """The images to learn from at present, on the device; new ones push out the oldest."""

    capacity: int
    device: Any
    drawn: int = 0
    held: dict[str, Any] = field(default_factory=dict)

    def take(self, feed: Feed) -> None:
        """Wait for one finished chunk and move it into the pool."""
        import torch

        slot = feed.ready.get()
        start = self.drawn % self.capacity
        for name, array in feed.slots.items():
            fresh = torch.from_numpy(array[slot]).to(self.device)
            if name not in self.held:
                full = (self.capacity, *fresh.shape[1:])
                self.held[name] = torch.zeros(full, dtype=fresh.dtype, device=self.device)
            self.held[name][start : start + CHUNK] = fresh
        feed.free.put(slot)
        self.drawn += CHUNK

    def refresh(self, feed: Feed, most: int) -> None:
        """Take at most `most` finished chunks, without waiting."""
        for _ in range(most):
            if feed.ready.empty():
                return
            self.take(feed)

    def batch(self, size: int) -> dict[str, Any]:
        """Choose rows at random."""
        import torch

        filled = min(self.drawn, self.capacity)
        chosen = torch.randint(0, filled, (size,), device=self.device)
        return {name: values[chosen] for name, values in self.held.items()}
