"""Make the sample images in images/, and the manifest with the facts about each.

This file exists so that the demo has CC0 images that can be reproduced byte for byte with
the same Pillow, and that cover cases from real folders: EXIF rotation,
transparency, a palette, WebP, a tall, a wide and a large image. It runs no model.

Answers hold for the prepared image: upright, flattened on white, RGB, at most 1024 px.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo_drawing import COLOURS, Scene, Shape, draw
from demo_questions import describe, first_upper
from PIL import Image

IMAGES = Path(__file__).resolve().parent.parent / "images"
ORIGIN = "drawn by scripts/make_sample_images.py"
LICENCE = "CC0-1.0"
SPELLINGS = (("grey", "gray"), ("Grey", "Gray"), ("entre", "enter"))


@dataclass(frozen=True)
class Sample:
    """One sample image: what it shows, how it is stored and its purpose."""

    file: str
    note: str
    scene: Scene
    store: Callable[[Image.Image, Path], None]
    more: dict[str, str] = field(default_factory=dict)


def _shape(kind: str, colour: str, x: float, y: float, radius: float, angle: float = 0.0) -> Shape:
    return Shape(kind, colour, x, y, radius, COLOURS[colour], angle)


def _scene(size: tuple[int, int], background: str, backdrop: str, *shapes: Shape) -> Scene:
    width, height = size
    return Scene(width, height, background, shapes, backdrop, COLOURS[background], seed=len(shapes))


def _png(image: Image.Image, path: Path) -> None:
    image.save(path, "PNG", optimize=True)


def _jpeg(image: Image.Image, path: Path) -> None:
    image.save(path, "JPEG", quality=82)


def _webp(image: Image.Image, path: Path) -> None:
    image.save(path, "WEBP", lossless=True)


def _palette(image: Image.Image, path: Path) -> None:
    image.quantize(64, dither=Image.Dither.NONE).save(path, "PNG", optimize=True)


def _sideways(image: Image.Image, path: Path) -> None:
    """Store the pixels turned a quarter anticlockwise, and record it in EXIF (Orientation 6)."""
    exif = Image.Exif()
    exif[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(path, "JPEG", quality=90, exif=exif)


def _see_through(image: Image.Image, path: Path) -> None:
    """Make the white background transparent, and black beneath, so that flattening shows."""
    opacity = image.getchannel("G").point([255 - value for value in range(256)])
    least, most = 255 - COLOURS["white"][1], 255 - COLOURS["purple"][1]
    opacity = opacity.point(
        [max(0, min(255, round((v - least) * 255 / (most - least)))) for v in range(256)]
    )
    clear = Image.new("RGBA", image.size, (0, 0, 0, 0))
    solid = Image.new("RGBA", image.size, (*COLOURS["purple"], 255))
    clear.paste(solid, mask=opacity)
    clear.putalpha(opacity)
    _png(clear, path)


def samples() -> list[Sample]:
    """All sample images, in the order of the manifest."""
    return [
        Sample(
            "circle.png",
            "square, one shape",
            _scene((384, 384), "white", "plain", _shape("circle", "red", 0.5, 0.5, 0.3)),
            _png,
            {"What shape is this?": "Circle", "What colour is the circle?": "Red"},
        ),
        Sample(
            "squares_and_star.png",
            "4:3, a gradient behind three shapes",
            _scene(
                (640, 480),
                "grey",
                "gradient",
                _shape("square", "blue", 0.2, 0.25, 0.15),
                _shape("square", "blue", 0.22, 0.76, 0.17, 8.0),
                _shape("star", "green", 0.78, 0.5, 0.2),
            ),
            _png,
            {"How many squares are there?": "2", "Where is the green star?": "Right"},
        ),
        Sample(
            "sideways.jpg",
            "EXIF Orientation 6: stored on its side, so that places are wrong until it is turned",
            _scene(
                (360, 480),
                "blue",
                "plain",
                _shape("star", "yellow", 0.2, 0.18, 0.15),
                _shape("triangle", "white", 0.78, 0.8, 0.17),
            ),
            _sideways,
            {"Where is the yellow star?": "Top left", "Where is the triangle?": "Bottom right"},
        ),
        Sample(
            "see_through.png",
            "RGBA: transparent around the shape, black beneath; white only once flattened on white",
            _scene((400, 400), "white", "plain", _shape("heart", "purple", 0.5, 0.5, 0.32)),
            _see_through,
            {"What shape is this?": "Heart", "What colour is the heart?": "Purple"},
        ),
        Sample(
            "large.jpg",
            "1600 x 1200: larger than the longest side that is kept",
            _scene(
                (1600, 1200),
                "green",
                "stripes",
                _shape("triangle", "orange", 0.18, 0.2, 0.13),
                _shape("triangle", "orange", 0.5, 0.2, 0.13, 10.0),
                _shape("triangle", "orange", 0.8, 0.22, 0.14),
                _shape("cross", "black", 0.22, 0.77, 0.15),
                _shape("heart", "pink", 0.78, 0.76, 0.15),
            ),
            _jpeg,
            {"How many triangles are there?": "3", "Is there a pink heart?": "Yes"},
        ),
        Sample(
            "tall.png",
            "1:2, much taller than wide",
            _scene(
                (300, 600),
                "yellow",
                "plain",
                _shape("diamond", "red", 0.5, 0.18, 0.2),
                _shape("circle", "black", 0.5, 0.8, 0.22),
            ),
            _png,
            {"What colour is the circle?": "Black", "Is the diamond above the circle?": "Yes"},
        ),
        Sample(
            "palette.png",
            "a palette PNG",
            _scene(
                (320, 240),
                "black",
                "plain",
                *(
                    _shape("star", "orange", x, y, 0.14, angle)
                    for x, y, angle in ((0.18, 0.24, 0.0), (0.8, 0.23, 9.0), (0.2, 0.78, 20.0))
                ),
                _shape("star", "orange", 0.79, 0.76, 0.15),
            ),
            _palette,
            {"How many stars are there?": "4", "Is there a circle?": "No"},
        ),
        Sample(
            "wide.webp",
            "16:9 WebP",
            _scene(
                (640, 360),
                "pink",
                "plain",
                _shape("square", "white", 0.18, 0.5, 0.14),
                _shape("cross", "blue", 0.5, 0.5, 0.15),
                _shape("circle", "green", 0.82, 0.5, 0.15),
            ),
            _webp,
            {"What is in the centre?": "A blue cross", "What shape is green?": "Circle"},
        ),
    ]


def _accepted(answer: str) -> list[str]:
    """The answer, and the same in American spelling."""
    american = answer
    for british, other in SPELLINGS:
        american = american.replace(british, other)
    return list(dict.fromkeys((answer, american)))


def entry(sample: Sample, path: Path) -> dict[str, Any]:
    """The manifest's entry of an image; width and height are those of the stored pixels."""
    answers = {
        "Describe this image.": describe(sample.scene),
        "How many shapes are there?": str(len(sample.scene.shapes)),
        "What is the background colour?": first_upper(sample.scene.background),
        **sample.more,
    }
    with Image.open(path) as stored:
        width, height = stored.size
    return {
        "file": sample.file,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "width": width,
        "height": height,
        "origin": ORIGIN,
        "licence": LICENCE,
        "note": sample.note,
        "answers": {question: _accepted(answer) for question, answer in answers.items()},
    }


def main() -> None:
    """Write the images and their manifest."""
    parser = argparse.ArgumentParser(description="Make the sample images and their manifest.")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder to write to")
    folder: Path = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for sample in samples():
        path = folder / sample.file
        sample.store(draw(sample.scene), path)
        entries.append(entry(sample, path))
    manifest = json.dumps({"images": entries}, indent=2, ensure_ascii=False) + "\n"
    (folder / "manifest.json").write_text(manifest, encoding="utf-8")
    print(f"{len(entries)} images in {folder}")


if __name__ == "__main__":
    main()
