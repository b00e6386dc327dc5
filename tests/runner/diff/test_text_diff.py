"""Word diff: both texts can be restored, and highlights start and end at words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.diff import text_diff


@pytest.mark.parametrize(
    ("a", "b", "marked"),
    [
        ("A red circle.", "A blue circle.", "A {-red-}{+blue+} circle."),
        ("A red circle.", "A blue square.", "A {-red circle-}{+blue square+}."),
        ("A circle.", "A big circle.", "A {+big +}circle."),
        ("A big circle.", "A circle.", "A {-big -}circle."),
        ("same", "same", "same"),
        ("", "new", "{+new+}"),
        ("old", "", "{-old-}"),
        ("红色的猫", "蓝色的狗", "{-红-}{+蓝+}色的{-猫-}{+狗+}"),
        ("don't stop", "don't go", "don't {-stop-}{+go+}"),
    ],
)
def test_changed_words_are_highlighted(a: str, b: str, marked: str) -> None:
    assert text_diff.format_inline_diff(text_diff.diff_segments(a, b)) == marked


@given(st.text("ab .ç猫", max_size=30), st.text("ab .ç猫", max_size=30))
def test_diff_contains_both_texts_completely(a: str, b: str) -> None:
    found = text_diff.diff_segments(a, b)
    assert "".join(one.old for one in found) == a
    assert "".join(one.new for one in found) == b
    assert all(one.same for one in found) == (a == b)


def test_long_equal_parts_are_omitted() -> None:
    same = "one two three four five six seven eight nine ten " * 10
    shown = text_diff.format_inline_diff(
        text_diff.elide_unchanged(text_diff.diff_segments(same + "end", same + "finish"))
    )
    assert shown == " … five six seven eight nine ten {-end-}{+finish+}"
    middle = text_diff.format_inline_diff(
        text_diff.elide_unchanged(text_diff.diff_segments(f"a {same}b", f"c {same}d"))
    )
    assert middle.startswith("{-a-}{+c+} one two")
    assert middle.endswith("nine ten {-b-}{+d+}")
    assert middle.count("…") == 1


def test_long_texts_are_compared_by_sentence() -> None:
    a = "".join(f"This is sentence number {n}. " for n in range(3000))
    found = [
        one
        for one in text_diff.diff_segments(a, a.replace("number 7.", "number X."))
        if not one.same
    ]
    assert [(one.old, one.new) for one in found] == [
        (" This is sentence number 7.", " This is sentence number X.")
    ]
