"""Letters of multiple choice: A as an option, not as an article."""

from __future__ import annotations

import re

SINGLE = re.compile(r"""[\s(\[{"'*_]*([A-Za-z])[\s)\]}"'*_.:,]*""")
# Words in English by themselves: an article and a pronoun. No other letter can be mistaken.
WORDS = "ai"
# Words that follow an option, but never an article or the pronoun.
AFTER_OPTION = r"(?:is|was|because|since|or)\b"
BEFORE, AFTER = r"(?<![\w'’])", r"(?![\w'’]|-\w)"


def single_letter(text: str) -> str | None:
    """The letter, in lower case, of a text that is one letter with brackets or marks around it."""
    match = SINGLE.fullmatch(text)
    return match[1].lower() if match else None


def mentions_letter(text: str, letter: str) -> bool:
    """Whether a text has a letter as a word that means the option: "(A)", "A. Red", "It is A."

    A and I before another word count only as capitals within a sentence, where they are neither the
    article nor the pronoun ("A red car" does not match A).
    """
    if single_letter(text) == letter.lower():
        return True
    word = f"{BEFORE}{re.escape(letter)}{AFTER}"
    if letter.lower() not in WORDS:
        return re.search(word, text, re.IGNORECASE) is not None
    apart = rf"{word}(?!\s+\w)|{word}(?=\s+{AFTER_OPTION})"
    within = rf"(?<=[\w,:;] ){BEFORE}{letter.upper()}{AFTER}"
    return bool(re.search(apart, text, re.IGNORECASE)) or (
        letter.lower() == "a" and bool(re.search(within, text))
    )
