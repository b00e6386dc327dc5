"""Makes up what vision-language models might say: texts of realistic length and vocabulary.

Only `make_history.py` uses it. The same generator of random numbers gives the same texts.
"""

from __future__ import annotations

import random


def words(text: str) -> list[str]:
    """The words of a list written as text."""
    return text.split()


THINGS = words(
    """dog cat horse bicycle car bus truck boat bridge house tower church street lamp bench
tree flower garden river lake mountain beach cloud sky sun shadow window door wall roof fence gate
table chair sofa bed shelf book newspaper cup plate bowl bottle glass knife fork spoon cake bread
apple banana orange lemon tomato carrot pizza sandwich person man woman child boy girl crowd
umbrella hat coat jacket shirt dress shoe bag suitcase backpack phone laptop keyboard screen camera
clock mirror painting poster sign letter number train station platform aeroplane airport runway
kite ball racket skateboard surfboard snow ice rain puddle road path field meadow sheep cow goat
bird pigeon duck swan elephant giraffe zebra bear monkey fish aquarium market stall shop café
restaurant kitchen bathroom office desk computer machine engine wheel rope ladder box basket"""
)
LOOKS = words(
    """red blue green yellow white black grey brown orange purple pink golden silver dark bright
small large tall short old young wooden metal plastic glass stone brick striped spotted shiny dusty
wet dry open closed empty crowded quiet busy colourful plain modern rusty broken tidy narrow wide
round square curved distant blurred parked folded sleeping smiling standing sitting"""
)
DOES = words(
    """stands sits lies rests leans hangs floats runs walks waits grazes sleeps looks points
moves shines reflects appears rises stretches"""
)
WHERE = [
    place.strip()
    for place in [
        "in front of",
        "behind",
        "next to",
        "on top of",
        "beneath",
        "beside",
        "near",
        "across from",
        "between",
        "above",
        "\non the left of",
        "on the right of",
        "at the edge of",
        "in the middle of",
        "along",
    ]
]
MOODS = words(
    """calm lively cheerful gloomy peaceful hectic warm cold nostalgic tense relaxed
festive"""
)
COLOURS = LOOKS[:13]
SIGNS = "ABCDEFGHKLMNPRSTUVXYZ"


class Author:
    """Writes answers. Common words come often and rare ones seldom, as in real captions."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.things = dice.choices(THINGS, [1 / (i + 3) for i in range(len(THINGS))], k=4096)
        self.looks = dice.choices(LOOKS, [1 / (i + 3) for i in range(len(LOOKS))], k=4096)

    def pick(self, words: list[str]) -> str:
        """One of the words: quicker than `choice`."""
        return words[int(self.dice.random() * len(words))]

    def phrase(self) -> str:
        """`a red bicycle`."""
        return f"a {self.pick(self.looks)} {self.pick(self.things)}"

    def sentence(self) -> str:
        """One sentence about what is seen."""
        kind = self.dice.random()
        if kind < 0.6:
            place = f"{self.pick(WHERE)} {self.phrase()}"
            return f"{self.phrase().capitalize()} {self.pick(DOES)} {place}."
        if kind < 0.8:
            return f"There is {self.phrase()} with {self.phrase()} and {self.phrase()}."
        if kind < 0.95:
            return f"The scene is {self.pick(MOODS)}, with {self.phrase()} in the background."
        code = "".join(self.dice.choices(SIGNS, k=2)) + str(self.dice.randrange(1000, 9999))
        return f"A sign reads '{code}' above {self.phrase()}."

    def describe(self, tokens: int) -> tuple[str, bool]:
        """A description; cut off after `tokens` tokens (of 4.3 characters)."""
        sentences = [f"The image shows {self.phrase()} {self.pick(WHERE)} {self.phrase()}."]
        sentences += [self.sentence() for _ in range(self.dice.choice((2, 3, 4, 5, 6, 7)))]
        text, room = " ".join(sentences), int(tokens * 4.3)
        return (text[:room].rstrip(), True) if len(text) > room else (text, False)

    def answer(self, question: str, tokens: int) -> tuple[str, bool]:
        """An answer to one of `QUESTIONS`, and whether it was cut off."""
        if question == "describe":
            return self.describe(tokens)
        if question == "caption":
            return self.sentence(), False
        if question == "colour":
            return self.pick(COLOURS), False
        return str(self.dice.choice((0, 1, 1, 1, 2, 2, 3, 4, 7))), False


QUESTIONS = {
    "describe": "Describe this image.",
    "caption": "Write one sentence of alt text for this image.",
    "colour": "What is the main colour? Answer with one word.",
    "count": "How many people are there? Answer with a number.",
}
