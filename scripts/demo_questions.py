"""Ask true questions about drawn scenes, with the one answer the demo model should give.

This file exists so that training and the accuracy check share the questions and the correct
answers. Every answer is read off the `Scene`, never off the image. It draws nothing.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from demo_drawing import COLOUR_NAMES, KINDS, Scene, Shape, place_name
from demo_phrasings import (
    AT_PLACE,
    BACKGROUND,
    BEYOND,
    BLIND,
    BRIEF,
    COLOUR,
    COLOURS_OF,
    COUNT,
    DESCRIBE,
    EXISTS,
    NOUNS,
    OFF_TOPIC,
    POSITION,
    RELATION,
    SHAPE,
    SHAPE_OF,
    WHO,
    WHO_ASKED,
    WORDS,
)


@dataclass(frozen=True)
class Answered:
    """A question of some kind and its answer; `sees` is False where no image is shown."""

    kind: str
    question: str
    answer: str
    sees: bool = True


def many(kind: str) -> str:
    """The plural of a kind of shape."""
    return kind + ("es" if kind == "cross" else "s")


def with_article(words: str) -> str:
    """Put "a" or "an" in front."""
    return ("an " if words[0] in "aeiou" else "a ") + words


def first_upper(words: str) -> str:
    """Start with a capital and leave the rest alone."""
    return words[:1].upper() + words[1:]


def describe(scene: Scene) -> str:
    """Describe a scene: larger groups first, then in the order of KINDS and COLOURS."""
    groups = Counter((shape.kind, shape.colour) for shape in scene.shapes)
    order = sorted(
        groups.items(),
        key=lambda g: (-g[1], KINDS.index(g[0][0]), COLOUR_NAMES.index(g[0][1])),
    )
    parts = [
        with_article(f"{colour} {kind}") if n == 1 else f"{WORDS[n]} {colour} {many(kind)}"
        for (kind, colour), n in order
    ]
    if not parts:
        return f"A plain {scene.background} background."
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)
    return first_upper(f"{listed} on {with_article(scene.background)} background.")


def _absent(scene: Scene, rng: random.Random, kind: bool, colour: bool) -> str | None:
    """Name something that the scene does not hold, close to what it does hold if possible."""
    held = [(s.kind, s.colour) for s in scene.shapes]
    for _ in range(20):
        near = rng.choice(held) if held and rng.random() < 0.6 else None
        k, c = rng.choice(KINDS), rng.choice(COLOUR_NAMES)
        if near and colour and kind:
            k, c = (near[0], c) if rng.random() < 0.5 else (k, near[1])
        clash = any((not kind or k == hk) and (not colour or c == hc) for hk, hc in held)
        if not clash:
            return " ".join([c] * colour + [k if kind else "shape"])
    return None


def _names(scene: Scene, shape: Shape) -> list[str]:
    """The ways of naming one shape that fit no other shape of the scene."""
    kinds = Counter(s.kind for s in scene.shapes)
    colours = Counter(s.colour for s in scene.shapes)
    both = Counter((s.kind, s.colour) for s in scene.shapes)
    names = [shape.kind] if kinds[shape.kind] == 1 else []
    if both[(shape.kind, shape.colour)] == 1:
        names.append(f"{shape.colour} {shape.kind}")
    if colours[shape.colour] == 1:
        names.append(f"{shape.colour} shape")
    return names


def _named(scene: Scene, rng: random.Random, apart_from: str = "") -> tuple[Shape, str] | None:
    """Choose a shape that can be named beyond dispute, and a name for it."""
    options = [(s, name) for s in scene.shapes for name in _names(scene, s)]
    options = [option for option in options if not apart_from or apart_from not in option[1]]
    return rng.choice(options) if options else None


def ask_shape(scene: Scene, rng: random.Random) -> Answered | None:
    """Ask what shape there is, or which shape has a certain colour."""
    kinds = {s.kind for s in scene.shapes}
    if len(kinds) == 1:
        return Answered("shape", rng.choice(SHAPE), first_upper(kinds.pop()))
    if not kinds or rng.random() < 0.1:
        answer = "There are several shapes." if kinds else "There is no shape."
        return Answered("absent", rng.choice(SHAPE), answer)
    colour = rng.choice([s.colour for s in scene.shapes])
    found = {s.kind for s in scene.shapes if s.colour == colour}
    if len(found) > 1:
        return None
    return Answered("shape", rng.choice(SHAPE_OF).format(c=colour), first_upper(found.pop()))


def ask_colour(scene: Scene, rng: random.Random) -> Answered | None:
    """Ask the colour of a shape, or of all shapes of a kind where they agree."""
    if not scene.shapes or rng.random() < 0.07:
        name = _absent(scene, rng, True, False) if scene.shapes else "shape"
        question = rng.choice(COLOUR).format(t=name)
        return Answered("absent", question, f"There is no {name}.") if name else None
    kind = rng.choice(scene.shapes).kind
    found = [s.colour for s in scene.shapes if s.kind == kind]
    if len(set(found)) > 1:
        return None
    alone = len({s.kind for s in scene.shapes}) == 1
    name = "shape" if alone and rng.random() < 0.4 else kind
    if len(found) > 1:
        question = rng.choice(COLOURS_OF).format(t=many(name))
    else:
        question = rng.choice(COLOUR).format(t=name)
    return Answered("colour", question, first_upper(found[0]))


def ask_count(scene: Scene, rng: random.Random) -> Answered | None:
    """Ask for the number of shapes of a kind, of a colour, of both, or in total."""
    if rng.random() < 0.35:
        thing = rng.choice(("shapes", "shapes", "shapes", "objects", "shapes in total"))
        return Answered("count", rng.choice(COUNT).format(t=thing), str(len(scene.shapes)))
    near = rng.choice(scene.shapes) if scene.shapes and rng.random() < 0.85 else None
    kind = near.kind if near else rng.choice(KINDS)
    colour = near.colour if near else rng.choice(COLOUR_NAMES)
    by_kind, by_colour = rng.choice(((True, False), (True, False), (False, True), (True, True)))
    number = sum(
        (not by_kind or s.kind == kind) and (not by_colour or s.colour == colour)
        for s in scene.shapes
    )
    thing = " ".join([colour] * by_colour + [many(kind if by_kind else "shape")])
    return Answered("count", rng.choice(COUNT).format(t=thing), str(number))


def ask_position(scene: Scene, rng: random.Random) -> Answered | None:
    """Ask where a shape is."""
    if rng.random() < 0.07:
        name = _absent(scene, rng, True, rng.random() < 0.5)
        question = rng.choice(POSITION).format(t=name)
        return Answered("absent", question, f"There is no {name}.") if name else None
    named = _named(scene, rng)
    if named is None:
        return None
    name = "shape" if len(scene.shapes) == 1 and rng.random() < 0.2 else named[1]
    return Answered("position", rng.choice(POSITION).format(t=name), first_upper(named[0].place))


def ask_background(scene: Scene, rng: random.Random) -> Answered | None:
    """Ask the colour of the background."""
    return Answered("background", rng.choice(BACKGROUND), first_upper(scene.background))


def ask_exists(scene: Scene, rng: random.Random) -> Answered | None:
    """Ask whether a shape exists; half of the time it does not."""
    by_kind, by_colour = rng.choice(((True, False), (True, True), (False, True)))
    if scene.shapes and rng.random() < 0.5:
        shape, answer = rng.choice(scene.shapes), "Yes"
        name = " ".join([shape.colour] * by_colour + [shape.kind if by_kind else "shape"])
    else:
        missing, answer = _absent(scene, rng, by_kind, by_colour), "No"
        if missing is None:
            return None
        name = missing
    return Answered("yes/no", rng.choice(EXISTS).format(a=with_article(name)), answer)


def ask_relation(scene: Scene, rng: random.Random) -> Answered | None:
    """Ask whether one shape is left of, right of, above or below another."""
    first = _named(scene, rng)
    second = _named(scene, rng, apart_from=first[1]) if first else None
    if first is None or second is None or first[0] is second[0]:
        return None
    across = first[0].x - second[0].x
    down = first[0].y - second[0].y
    sideways = abs(across) > abs(down)
    if max(abs(across), abs(down)) < 0.12:
        return None
    gap = across if sideways else down
    words = ("left of", "right of") if sideways else ("above", "below")
    truth = words[gap > 0]
    relation = rng.choice(words)
    if sideways and rng.random() < 0.3:
        question = rng.choice(RELATION).format(t=first[1], r=f"to the {relation}", u=second[1])
    else:
        question = rng.choice(RELATION).format(t=first[1], r=relation, u=second[1])
    return Answered("relation", question, "Yes" if relation == truth else "No")


def ask_at_place(scene: Scene, rng: random.Random) -> Answered | None:
    """Ask for the content of one ninth of the image."""
    place = rng.choice(scene.shapes).place if scene.shapes and rng.random() < 0.85 else None
    place = place or place_name(rng.randrange(3), rng.randrange(3))
    found = [s for s in scene.shapes if s.place == place]
    if len(found) > 1:
        return None
    answer = first_upper(with_article(f"{found[0].colour} {found[0].kind}")) if found else "Nothing"
    words = f"in the {place}" if place == "centre" or rng.random() < 0.3 else f"at the {place}"
    return Answered("what is there", rng.choice(AT_PLACE).format(p=words), answer)


def ask_describe(scene: Scene, rng: random.Random) -> Answered | None:
    """Ask for a description."""
    return Answered("describe", rng.choice(DESCRIBE), describe(scene))


ASKERS: dict[str, Callable[[Scene, random.Random], Answered | None]] = {
    "shape": ask_shape,
    "colour": ask_colour,
    "count": ask_count,
    "position": ask_position,
    "background": ask_background,
    "describe": ask_describe,
    "yes/no": ask_exists,
    "relation": ask_relation,
    "what is there": ask_at_place,
}
WEIGHTS = (1.0, 1.2, 2.0, 1.5, 0.5, 1.6, 0.8, 0.6, 0.8)


def vary(asked: Answered, rng: random.Random) -> Answered:
    """Vary a question: spelling, case, question mark, a request for brevity."""
    text = asked.question
    if rng.random() < 0.35:
        for british, american in (("olour", "olor"), ("grey", "gray"), ("centre", "center")):
            text = text.replace(british, american)
    if rng.random() < 0.3:
        swap = {"image": "picture", "picture": "image"}
        text = re.sub("image|picture", lambda word: swap[word[0]], text)
    if asked.kind in ASKERS and asked.kind != "describe" and rng.random() < 0.12:
        text += rng.choice(BRIEF)
    if rng.random() < 0.05:
        text = "Please " + text[:1].lower() + text[1:]
    if rng.random() < 0.12:
        text = text.rstrip("?.")
    if rng.random() < 0.15:
        text = text.lower()
    return Answered(asked.kind, text, asked.answer, asked.sees)


def ask_any(scene: Scene, rng: random.Random) -> Answered:
    """Ask one question of any kind about a scene, in any of its phrasings."""
    while True:
        asker = rng.choices(list(ASKERS.values()), WEIGHTS)[0]
        asked = asker(scene, rng)
        if asked is not None:
            return vary(asked, rng)


def ask_aside(scene: Scene, rng: random.Random) -> Answered:
    """Ask something that the image does not answer, or an image question without an image."""
    roll = rng.random()
    if roll < 0.35:
        return vary(Answered("who", rng.choice(WHO_ASKED), WHO, rng.random() < 0.4), rng)
    if roll < 0.65:
        asked = ask_any(scene, rng)
        return Answered("no picture", asked.question, BLIND, False)
    text = rng.choice(OFF_TOPIC)
    text = re.sub(r"\{w\}", lambda _: rng.choice(NOUNS), text)
    text = re.sub(r"\{n\}", lambda _: str(rng.randint(0, 99)), text)
    return vary(Answered("off topic", text, BEYOND, rng.random() < 0.6), rng)
