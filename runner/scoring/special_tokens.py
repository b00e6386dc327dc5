"""Special tokens and chat markers that a text contains as plain characters.

The worker removes those that the model's own tokenizer names. The rest was written by a model
letter by letter, or is unknown to its tokenizer; it is recognised here by its form and by names
that are not HTML, because an answer may contain HTML.
"""

from __future__ import annotations

import re

NAMES = (
    "s bos eos pad unk mask sep cls cap img image images image_pad image_token image_start"
    " image_end image_newline image_placeholder image_soft_token img_context start_of_image"
    " end_of_image fake_token_around_image global-img end_of_utterance start_of_turn end_of_turn"
    " begin_of_text end_of_text endoftext eot eod im_start im_end im_patch"
)
MARKER = re.compile(
    r"<\|[^|<>\n]{1,40}\|>"  # <|im_end|>
    r"|<｜[^｜<>\n]{1,40}｜>"  # the same with full-width bars
    rf"|</?(?:{'|'.join(map(re.escape, NAMES.split()))})>"
    r"|<row_\d+_col_\d+>|<(?:unused|extra_id_|reserved_?|image_|image)\d+>"
    r"|<0x[0-9a-f]{2}>"  # a byte that was never joined to a character
    r"|\[/?INST\]|<</?SYS>>|\[(?:CLS|SEP|PAD|UNK|MASK)\]",
    re.IGNORECASE,
)


def count_special_tokens(text: str) -> int:
    """The number of special tokens in a text."""
    return sum(1 for _ in MARKER.finditer(text))


def strip_special_tokens(text: str) -> str:
    """The text without them, white space folded."""
    return " ".join(MARKER.sub(" ", text).split())
