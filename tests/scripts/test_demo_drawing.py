"""Hold the demo's drawings, questions and sample images to what they claim. Loads no model."""

from __future__ import annotations

import hashlib
import json
import random
import sys
from collections import Counter
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.helpers.paths import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import demo_questions as questions
from demo_drawing import (
    COLOUR_NAMES,
    COLOURS,
    KINDS,
    Scene,
    Shape,
    draw,
    patch_labels,
    random_scene,
)

SEEDS = range(60)
MANIFEST: list[dict[str, Any]] = json.loads(
    (ROOT / "images" / "manifest.json").read_text(encoding="utf-8")
)["images"]


def _shape(kind: str, colour: str, x: float, y: float) -> Shape:
    return Shape(kind, colour, x, y, 0.12, COLOURS[colour])


SCENE = Scene(
    200,
    160,
    "grey",
    (
        _shape("square", "blue", 0.2, 0.2),
        _shape("square", "blue", 0.2, 0.8),
        _shape("star", "orange", 0.8, 0.5),
    ),
    rgb=COLOURS["grey"],
)


def test_equal_seeds_give_equal_images() -> None:
    for seed in SEEDS:
        assert random_scene(seed) == random_scene(seed)
        assert draw(random_scene(seed)).tobytes() == draw(random_scene(seed)).tobytes()


def test_shapes_stay_inside_their_cells_without_overlap() -> None:
    for seed in SEEDS:
        scene = random_scene(seed)
        assert len(scene.shapes) <= 6
        for number, shape in enumerate(scene.shapes):
            assert shape.colour != scene.background
            for centre in (shape.x, shape.y):
                assert 0 < centre < 1
                assert min(abs(centre - 1 / 3), abs(centre - 2 / 3)) > 0.03
            for other in scene.shapes[:number]:
                across = (shape.x - other.x) * scene.width
                down = (shape.y - other.y) * scene.height
                reach = (shape.radius + other.radius) * scene.scale
                assert across**2 + down**2 > reach**2


@pytest.mark.parametrize("kind", KINDS)
def test_filled_shape_has_its_colour_and_leaves_the_corner(kind: str) -> None:
    shape = Shape(kind, "red", 0.5, 0.5, 0.3, COLOURS["red"])
    image = draw(Scene(120, 90, "white", (shape,)))
    assert image.size == (120, 90)
    assert image.getpixel((60, 45)) == COLOURS["red"]
    assert image.getpixel((2, 2)) == COLOURS["white"]


def test_patch_labels_name_the_shape_and_mark_each_centre() -> None:
    labels, centres = patch_labels(SCENE, 16)
    count = len(COLOUR_NAMES)
    star = count * (1 + KINDS.index("star")) + COLOUR_NAMES.index("orange")
    assert labels[8, 12] == star
    assert labels[0, 15] == COLOUR_NAMES.index("grey")
    assert centres.sum() == 3
    assert centres[8, 12] == 1


def test_description_counts_groups_and_uses_the_right_articles() -> None:
    description = "Two blue squares and an orange star on a grey background."
    assert questions.describe(SCENE) == description
    assert questions.describe(Scene(9, 9, "orange")) == "A plain orange background."


def test_positions_are_ninths_of_the_image() -> None:
    assert [shape.place for shape in SCENE.shapes] == ["top left", "bottom left", "right"]
    assert _shape("star", "red", 0.5, 0.5).place == "centre"


def _true_answers(scene: Scene, asked: questions.Answered) -> None:
    """Check an answer against the scene by another way than the generator's."""
    kinds = Counter(shape.kind for shape in scene.shapes)
    if asked.kind == "count":
        wanted = [
            s
            for s in scene.shapes
            if (s.colour in asked.question or not any(c in asked.question for c in COLOUR_NAMES))
            and (s.kind in asked.question or not any(k in asked.question for k in KINDS))
        ]
        assert asked.answer == str(len(wanted)), asked
    elif asked.kind == "position":
        assert asked.answer.lower() in {s.place for s in scene.shapes}
    elif asked.kind == "shape":
        assert asked.answer.lower() in kinds
    elif asked.kind == "colour":
        named = [k for k in kinds if k in asked.question] or list(kinds)
        assert {asked.answer.lower()} == {s.colour for s in scene.shapes if s.kind in named}
    elif asked.kind == "yes/no":
        pairs = {(s.kind, s.colour) for s in scene.shapes}
        held = any(
            (k in asked.question or not any(x in asked.question for x in KINDS))
            and (c in asked.question or not any(x in asked.question for x in COLOUR_NAMES))
            for k, c in pairs
        )
        assert asked.answer == ("Yes" if held else "No"), asked


def test_answers_match_the_drawing() -> None:
    for seed in SEEDS:
        scene, rng = random_scene(seed), random.Random(seed)
        for ask in questions.ASKERS.values():
            for _ in range(6):
                asked = ask(scene, rng)
                if asked is not None:
                    _true_answers(scene, asked)


def test_question_without_an_image_has_no_answer() -> None:
    rng = random.Random(3)
    asides = [questions.ask_aside(SCENE, rng) for _ in range(200)]
    fixed = {questions.WHO, questions.BLIND, questions.BEYOND}
    assert {aside.answer for aside in asides} == fixed
    assert not any(aside.sees for aside in asides if aside.answer == questions.BLIND)


@pytest.mark.parametrize("row", MANIFEST, ids=lambda row: str(row["file"]))
def test_manifest_describes_each_file(row: dict[str, Any]) -> None:
    path = ROOT / "images" / row["file"]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
    with Image.open(path) as image:
        assert image.size == (row["width"], row["height"])
    assert row["licence"] == "CC0-1.0"
    assert row["origin"]
    assert row["note"]
    for common in (
        "Describe this image.",
        "How many shapes are there?",
        "What is the background colour?",
    ):
        assert row["answers"][common]


def test_every_image_is_in_the_manifest_and_all_are_small() -> None:
    kept = {p for p in (ROOT / "images").iterdir() if p.suffix in {".png", ".jpg", ".webp"}}
    assert {path.name for path in kept} == {row["file"] for row in MANIFEST}
    assert sum(path.stat().st_size for path in kept) < 1_000_000


def test_sideways_image_shows_the_star_top_left_after_rotation() -> None:
    with Image.open(ROOT / "images" / "sideways.jpg") as stored:
        assert stored.getexif()[0x0112] == 6
        oriented = ImageOps.exif_transpose(stored)
        flat = np.asarray(stored.convert("RGB"), np.int16)
    assert oriented.size == (360, 480)
    turned = np.asarray(oriented.convert("RGB"), np.int16)

    def yellow(pixels: np.ndarray) -> tuple[float, float]:
        gap = np.abs(pixels - np.array(COLOURS["yellow"])).sum(2)
        rows, columns = np.nonzero(gap < 60)
        return rows.mean() / len(pixels), columns.mean() / pixels.shape[1]

    assert max(yellow(turned)) < 1 / 3
    assert yellow(flat)[0] > 2 / 3


def test_transparent_image_is_black_underneath() -> None:
    with Image.open(ROOT / "images" / "see_through.png") as image:
        assert image.mode == "RGBA"
        assert image.getpixel((2, 2)) == (0, 0, 0, 0)
        middle = image.getpixel((200, 200))
    assert middle == (*COLOURS["purple"], 255)


def test_set_contains_a_palette_a_large_and_a_tall_image() -> None:
    with Image.open(ROOT / "images" / "palette.png") as image:
        assert image.mode == "P"
    sizes = [(row["width"], row["height"]) for row in MANIFEST]
    assert any(max(size) > 1024 for size in sizes)
    assert any(height >= 2 * width for width, height in sizes)
