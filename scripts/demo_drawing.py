"""Draw the little images that the embedded demo model learns from and is tested on.

This file exists so that training, the accuracy check and the sample images share one definition of
an image's content: a `Scene` lists the shapes, `draw` paints it, and `patch_labels` labels each
patch. It asks no questions (see demo_questions.py) and loads no model.

A scene follows from its seed alone. Seeds below `FIRST_TRAINING_SEED` are never trained on.
"""

from __future__ import annotations

import io
import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

FIRST_TRAINING_SEED = 1_000_000_000

KINDS = ("circle", "square", "triangle", "star", "heart", "cross", "diamond")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (215, 30, 35),
    "orange": (250, 135, 15),
    "yellow": (250, 220, 40),
    "green": (40, 155, 65),
    "blue": (35, 80, 210),
    "purple": (125, 45, 165),
    "pink": (250, 140, 190),
    "black": (20, 20, 20),
    "white": (248, 248, 248),
    "grey": (135, 135, 135),
}
COLOUR_NAMES = tuple(COLOURS)
BACKDROPS = ("plain", "plain", "gradient", "noise", "stripes")
# Backgrounds only: a pale blue is still called blue, whereas a pale red would be pink.
PALE = frozenset({"blue", "green", "yellow"})
TURN = {"circle": 180, "square": 12, "triangle": 20, "star": 36, "heart": 15, "cross": 12}
ROWS = ("top", "", "bottom")
COLUMNS = ("left", "", "right")

Rgb = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Shape:
    """One drawn shape: centre in parts of the width and height, radius in parts of the scale."""

    kind: str
    colour: str
    x: float
    y: float
    radius: float
    rgb: Rgb
    angle: float = 0.0
    filled: bool = True

    @property
    def place(self) -> str:
        """The ninth of the image that holds the centre, as text."""
        return place_name(min(int(self.x * 3), 2), min(int(self.y * 3), 2))


@dataclass(frozen=True)
class Scene:
    """All there is to know about one image."""

    width: int
    height: int
    background: str
    shapes: tuple[Shape, ...] = ()
    backdrop: str = "plain"
    rgb: Rgb = (248, 248, 248)
    jpeg: int | None = None
    noise: float = 0.0
    seed: int = 0

    @property
    def scale(self) -> float:
        """The length, in pixels, that a radius is a part of."""
        return math.sqrt(self.width * self.height)


def place_name(column: int, row: int) -> str:
    """Name one of the nine places: "top left", "right", "centre" and so on."""
    return " ".join(word for word in (ROWS[row], COLUMNS[column]) if word) or "centre"


def colour_near(name: str, rng: random.Random, spread: int = 16, pale: bool = False) -> Rgb:
    """Return a colour close enough to the named one for the name to be beyond dispute."""
    base = COLOURS[name]
    lift = rng.uniform(0.0, 0.5) if pale and name in PALE and rng.random() < 0.5 else 0.0
    if name in ("black", "white", "grey"):
        shift = rng.randint(-spread, spread)
        shifts = [shift + rng.randint(-3, 3) for _ in range(3)]
    else:
        shifts = [rng.randint(-spread, spread) for _ in range(3)]
    mixed = [value + (255 - value) * lift + move for value, move in zip(base, shifts, strict=True)]
    red, green, blue = (max(0, min(255, round(value))) for value in mixed)
    return red, green, blue


def _contents(rng: random.Random, background: str) -> list[tuple[str, str]]:
    """Choose what is drawn: a (kind, colour) pair for every shape."""
    colours = [name for name in COLOUR_NAMES if name != background]
    pairs = [(kind, colour) for kind in KINDS for colour in colours]
    roll = rng.random()
    if roll < 0.02:
        return []
    if roll < 0.30:
        return [rng.choice(pairs)]
    if roll < 0.45:
        return [rng.choice(pairs)] * rng.randint(2, 6)
    groups = rng.choice((2, 2, 2, 3, 3, 4))
    total = rng.randint(groups, 6)
    if rng.random() < 0.3:
        kind = rng.choice(KINDS)
        pairs = [pair for pair in pairs if pair[0] == kind]
    elif rng.random() < 0.2:
        colour = rng.choice(colours)
        pairs = [pair for pair in pairs if pair[1] == colour]
    chosen = rng.sample(pairs, groups)
    return chosen + [rng.choice(chosen) for _ in range(total - groups)]


def _clear_of_thirds(value: float) -> bool:
    return abs(value - 1 / 3) > 0.035 and abs(value - 2 / 3) > 0.035


def _spot(
    rng: random.Random, scene: Scene, radius: float, others: list[Shape]
) -> tuple[float, float] | None:
    """Find room for one more shape, its place beyond dispute, or return None."""
    half_x = radius * scene.scale / scene.width + 0.015
    half_y = radius * scene.scale / scene.height + 0.015
    if half_x >= 0.5 or half_y >= 0.5:
        return None
    for _ in range(40):
        x, y = rng.uniform(half_x, 1 - half_x), rng.uniform(half_y, 1 - half_y)
        if not (_clear_of_thirds(x) and _clear_of_thirds(y)):
            continue
        gaps = (
            math.hypot((x - o.x) * scene.width, (y - o.y) * scene.height)
            - (radius + o.radius) * scene.scale
            for o in others
        )
        if all(gap > 0.02 * scene.scale for gap in gaps):
            return x, y
    return None


def _place_all(rng: random.Random, scene: Scene, contents: list[tuple[str, str]]) -> list[Shape]:
    """Give every shape a place and a look; start again, smaller, where the room runs out."""
    low, high = {0: (0.2, 0.2), 1: (0.09, 0.40), 2: (0.09, 0.24)}.get(len(contents), (0.08, 0.17))
    outline_chance = rng.choice((0.0, 0.0, 0.5, 1.0))
    even = rng.uniform(low, high) if rng.random() < 0.3 else None
    while True:
        shapes: list[Shape] = []
        for kind, colour in contents:
            radius = even if even is not None else rng.uniform(low, high)
            spot = _spot(rng, scene, radius, shapes)
            if spot is None:
                break
            turn = TURN.get(kind, 10)
            angle = rng.uniform(-turn, turn) if rng.random() < 0.6 else 0.0
            filled = rng.random() >= outline_chance
            rgb = colour_near(colour, rng)
            shapes.append(Shape(kind, colour, *spot, radius, rgb, angle, filled))
        if len(shapes) == len(contents):
            return shapes
        even = None if even is None else max(even * 0.93, 0.07)
        high = max(high * 0.95, low)


def random_scene(seed: int) -> Scene:
    """Return the scene that belongs to a seed."""
    rng = random.Random(seed)
    aspect = math.exp(rng.uniform(-math.log(4 / 3), math.log(4 / 3)))
    if rng.random() < 0.15:
        aspect = rng.choice((1 / rng.uniform(1.33, 2.0), rng.uniform(1.33, 2.0)))
    elif rng.random() < 0.3:
        aspect = 1.0
    side = rng.choice((rng.randint(110, 260), rng.randint(200, 420)))
    width, height = round(side * math.sqrt(aspect)), round(side / math.sqrt(aspect))
    background = "white" if rng.random() < 0.2 else rng.choice(COLOUR_NAMES)
    scene = Scene(
        width,
        height,
        background,
        backdrop=rng.choice(BACKDROPS),
        rgb=colour_near(background, rng, 12, pale=True),
        jpeg=rng.randint(35, 95) if rng.random() < 0.35 else None,
        noise=rng.uniform(1, 6) if rng.random() < 0.25 else 0.0,
        seed=seed,
    )
    shapes = _place_all(rng, scene, _contents(rng, background))
    rng.shuffle(shapes)
    return Scene(**{**scene.__dict__, "shapes": tuple(shapes)})


def _wheel(points: int, radii: tuple[float, ...], start: float = -90.0) -> list[Point]:
    angles = [math.radians(start + 360 * i / points) for i in range(points)]
    return [
        (radii[i % len(radii)] * math.cos(a), radii[i % len(radii)] * math.sin(a))
        for i, a in enumerate(angles)
    ]


def _heart() -> list[Point]:
    steps = [2 * math.pi * i / 40 for i in range(40)]
    return [
        (
            math.sin(t) ** 3 * 0.92,
            (-13 * math.cos(t) + 5 * math.cos(2 * t) + 2 * math.cos(3 * t) + math.cos(4 * t)) / 17.5
            - 0.05,
        )
        for t in steps
    ]


def _cross(arm: float = 0.3, reach: float = 0.93) -> list[Point]:
    a, r = arm, reach
    quarter = [(-a, -r), (a, -r), (a, -a), (r, -a), (r, a), (a, a)]
    return quarter + [(-x, -y) for x, y in quarter]


OUTLINES: dict[str, list[Point]] = {
    "circle": _wheel(48, (0.95,)),
    "square": _wheel(4, (1.0,), start=-45.0),
    "triangle": _wheel(3, (1.0,)),
    "star": _wheel(10, (1.0, 0.42)),
    "heart": _heart(),
    "cross": _cross(),
    "diamond": [(0.0, -1.0), (0.72, 0.0), (0.0, 1.0), (-0.72, 0.0)],
}


def corners(shape: Shape, width: float, height: float) -> list[Point]:
    """Return the outline of a shape in an image of the given size, in pixels."""
    scale = shape.radius * math.sqrt(width * height)
    cos, sin = math.cos(math.radians(shape.angle)), math.sin(math.radians(shape.angle))
    return [
        (
            shape.x * width + scale * (cos * px - sin * py),
            shape.y * height + scale * (sin * px + cos * py),
        )
        for px, py in OUTLINES[shape.kind]
    ]


def _backdrop(scene: Scene) -> np.ndarray:
    """Paint the background: every shade of it keeps the one name."""
    noise = np.random.default_rng(scene.seed)
    base = np.empty((scene.height, scene.width, 3), np.float32)
    base[:] = scene.rgb
    if scene.backdrop == "gradient":
        ramp = np.linspace(-14, 14, scene.width if scene.seed % 2 else scene.height)
        base += ramp[None, :, None] if scene.seed % 2 else ramp[:, None, None]
    elif scene.backdrop == "stripes":
        step = max(4, round(scene.scale * (0.03 + 0.05 * noise.random())))
        length = scene.width if scene.seed % 2 else scene.height
        bands = (np.arange(length) // step % 2) * 22.0 - 11.0
        base += bands[None, :, None] if scene.seed % 2 else bands[:, None, None]
    elif scene.backdrop == "noise":
        base += noise.standard_normal(base.shape[:2], np.float32)[:, :, None] * 9
    return np.clip(base, 0, 255).astype(np.uint8)


def _paint(image: Image.Image, scene: Scene, shape: Shape) -> None:
    """Paint one shape with smooth edges, through a mask drawn three times as large."""
    grain = 3 if scene.scale < 500 else 2
    outline = corners(shape, scene.width, scene.height)
    left, top = (math.floor(min(p[i] for p in outline)) - 2 for i in (0, 1))
    right, bottom = (math.ceil(max(p[i] for p in outline)) + 2 for i in (0, 1))
    mask = Image.new("L", ((right - left) * grain, (bottom - top) * grain), 0)
    points = [((x - left) * grain, (y - top) * grain) for x, y in outline]
    pen = ImageDraw.Draw(mask)
    if shape.filled:
        pen.polygon(points, fill=255)
    else:
        pen.polygon(
            points, outline=255, width=max(4, round(shape.radius * scene.scale * 0.2 * grain))
        )
    image.paste(shape.rgb, (left, top), mask.reduce(grain))


def draw(scene: Scene) -> Image.Image:
    """Paint a scene as an RGB image."""
    image = Image.fromarray(_backdrop(scene))
    for shape in scene.shapes:
        _paint(image, scene, shape)
    if scene.noise:
        rough = np.random.default_rng(scene.seed + 1).standard_normal(
            (scene.height, scene.width, 1), np.float32
        )
        spoilt = np.asarray(image, np.float32) + rough * scene.noise
        image = Image.fromarray(np.clip(spoilt, 0, 255).astype(np.uint8))
    if scene.jpeg is not None:
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=scene.jpeg)
        image = Image.open(stream).convert("RGB")
    return image


def patch_labels(scene: Scene, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for a side x side grid of patches, the class of each and which hold a centre.

    Classes: the background colour's index, or `len(COLOURS)` + kind x colours + colour where a
    shape covers at least a quarter of the patch (the inside of an outline counts).
    """
    grain, count = 4, len(COLOUR_NAMES)
    labels = np.full((side, side), COLOUR_NAMES.index(scene.background), np.uint8)
    centres = np.zeros((side, side), np.uint8)
    for shape in scene.shapes:
        mask = Image.new("L", (side * grain, side * grain), 0)
        outline = corners(shape, scene.width, scene.height)
        stretch_x, stretch_y = side * grain / scene.width, side * grain / scene.height
        ImageDraw.Draw(mask).polygon([(x * stretch_x, y * stretch_y) for x, y in outline], fill=1)
        cover = np.asarray(mask).reshape(side, grain, side, grain).sum((1, 3))
        label = count + KINDS.index(shape.kind) * count + COLOUR_NAMES.index(shape.colour)
        labels[cover >= grain * grain // 4] = label
        centres[int(shape.y * side), int(shape.x * side)] = 1
    return labels, centres
