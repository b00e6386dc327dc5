"""Text as metrics and checks compare it. What a metric's publication prescribes is kept as it
is.
"""

from __future__ import annotations

import re
import unicodedata

NUMBERS = "zero one two three four five six seven eight nine ten"
DIGITS = {word: str(number) for number, word in enumerate(NUMBERS.split())} | {"none": "0"}
ARTICLES = {"a", "an", "the"}

NEGATED = (
    "ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't isn't mightn't mustn't"
    " needn't oughtn't shan't shouldn't wasn't weren't won't wouldn't"
)
# Only those whose form without an apostrophe is no other word: not its, well, were, ill or id.
SHORTENED = (
    "could've he'd he's how'd how'll how's i'm i've it'd it'll ma'am might've must've not've"
    " o'clock should've somebody'll somebody's someone'd someone'll someone's something'd"
    " something'll that's there'd there're there's they'd they'll they're they've 'twas we've"
    " what'll what're what's what've when's where'd where's where've who'd who'll who's who've"
    " why'll why're why's would've y'all you'd you'll you're you've"  # words: ok
)
AND_HAVE = "could had might should would"
WOULD_HAVE = "he i it she somebody someone something there they we who y'all you"  # words: ok
TWICE = [f"{word}n't've" for word in AND_HAVE.split()]
TWICE += [f"{word}'d've" for word in WOULD_HAVE.split()] + ["y'all'll"]


def without_apostrophe(word: str) -> list[str]:
    """A contraction without one of its apostrophes, for each of them."""
    places = [i for i, sign in enumerate(word) if sign == "'"]
    return [word[:i] + word[i + 1 :] for i in places]


CONTRACTIONS = {
    wrong: word
    for word in [*NEGATED.split(), *SHORTENED.split(), *TWICE]
    for wrong in without_apostrophe(word)
}
# An apostrophe and a colon stay: they tell girl's from girls, and belong to times.
PUNCTUATION = re.compile(r"""[;/\[\]"{}()=+\\_\-<>@`?!]|,""")


def normalize_words(answer: str) -> str:
    """An answer for a comparison by words, articles included.

    Lower case; no full stops but in decimals, no commas in numbers, no other punctuation but
    apostrophes and colons; number words up to ten as digits; contractions without an apostrophe get
    one.
    """
    text = answer.lower().replace("’", "'")
    text = re.sub(r"(?<=\d),(?=\d)", "", text)
    text = re.sub(r"\.(?!\d)", "", PUNCTUATION.sub(" ", text))
    words = (DIGITS.get(word, word) for word in text.split())
    return " ".join(CONTRACTIONS.get(word, word) for word in words)


def normalize_vqa(answer: str) -> str:
    """An answer as VQA accuracy compares it: `normalize_words` without articles."""
    return " ".join(word for word in normalize_words(answer).split() if word not in ARTICLES)


def collapse_space(text: str) -> str:
    """Text with a single space for each run of white space, and none at its ends."""
    return " ".join(text.split())


def fold(text: str) -> str:
    """Text without regard to case and the amount of white space."""
    return collapse_space(text.casefold())


def normalize(text: str) -> str:
    """Text without case, compatibility forms, folded white space or a final full stop."""
    plain = collapse_space(unicodedata.normalize("NFKC", text))
    return plain.removesuffix(".").rstrip().casefold()
