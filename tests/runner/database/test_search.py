"""Searching: what is found, what is marked, and that no text of a user's can break it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from runner.database.reader import Reader
from runner.database.search import as_query, search
from runner.database.store import Store
from runner.errors import QueryError


@pytest.fixture
def reader(store: Store) -> Iterator[Reader]:
    with Reader(store.path) as reader:
        yield reader


def say(store: Store, job: int, text: str | None, outcome: str = "ok") -> int:
    """A run that ended with this text."""
    run = store.start_run(job, None)
    store.finish_run(run, {"outcome": outcome, "raw_text": text, "text": text})
    return run


def runs(reader: Reader, words: str, **more: object) -> list[int]:
    """The numbers of the runs found."""
    return [row["run"] for row in search(reader, words, **more) if row["run"]]  # type: ignore[arg-type]


def sound(store: Store) -> None:
    """The index agrees with the texts. FTS5 raises otherwise."""
    for table in ("runs_fts", "prompts_fts"):
        store.connection.execute(
            f"INSERT INTO {table} ({table}, rank) VALUES ('integrity-check', 1)"  # noqa: S608
        )


def test_search_needs_all_words_in_any_order_and_marks_matches(
    store: Store, queued: Callable[..., int], reader: Reader
) -> None:
    queued(["m"], ["What is there?", "Is there a bicycle?"], name="n")
    one = say(store, 1, "Two Bicycles, one of them red.")
    say(store, 1, "A red car.")
    two = say(store, 2, "A bicycle before a réd wall")
    asked, *answers = search(reader, "red bicycle")
    assert [row["run"] for row in (asked, *answers)] == [two, one]
    assert answers[0]["text"] == "Two [Bicycles], one of them [red]."
    assert asked["text"] == "A [bicycle] before a [réd] wall"
    assert (asked["sweep"], asked["model"], asked["prompt"]) == ("n", "m", "Is there a bicycle?")
    found = search(reader, "bicycle")
    assert [(row["found_in"], row["run"]) for row in found] == [
        ("prompt", None),
        ("answer", two),
        ("answer", one),
    ]
    assert found[0]["text"] == "Is there a [bicycle]?"
    assert runs(reader, "bicycle", limit=1) == [two]


def test_quoted_words_match_as_a_phrase(
    store: Store, queued: Callable[..., int], reader: Reader
) -> None:
    queued(["m"], ["p"])
    side_by_side = say(store, 1, "a red bicycle")
    apart = say(store, 1, "a bicycle that is red")
    assert runs(reader, '"red bicycle"') == [side_by_side]
    assert runs(reader, "red bicycle") == [apart, side_by_side]


def test_search_is_limited_to_one_sweep(
    store: Store, queued: Callable[..., int], reader: Reader
) -> None:
    first, second = queued(["m"], ["red one"]), queued(["m"], ["red two"])
    mine, other = say(store, 1, "red"), say(store, 2, "red")
    later = say(store, 1, "red again")
    assert runs(reader, "red", sweep=first) == [later, mine]
    found = search(reader, "red", sweep=second)
    assert [row["run"] for row in found] == [None, other]
    assert found[0]["prompt"] == "red two"
    third = queued(["m"], ["blue"])
    assert search(reader, "red", sweep=third) == []


def test_partial_text_of_a_killed_run_is_searchable(
    store: Store, queued: Callable[..., int], reader: Reader
) -> None:
    queued(["m"], ["p"])
    run = store.start_run(1, None)
    store.finish_run(run, {"outcome": "timeout", "raw_text": "There is a zeb"})
    (row,) = search(reader, "zeb")
    assert (row["run"], row["outcome"]) == (run, "timeout")


@pytest.mark.parametrize(
    "words",
    [
        "red AND",
        "NOT",
        "red OR OR",
        "NEAR(",
        "red-bicycle",
        "raw_text:red",
        "col : red",
        '"red',
        'red"bicycle',
        "red*",
        "^red",
        "(red",
        "red)",
        "{red}",
        "it's red",
        "red; drop table runs",
        "<|im_end|> red",
        "[bold]red[/]",
        "red\x00bicycle",
        "red \x1b[31m",
        "赤 red",
        "100% red",
        "a+b",
        ":words",
        "red " * 500,
    ],
)
def test_any_text_is_a_valid_search(
    words: str, store: Store, queued: Callable[..., int], reader: Reader
) -> None:
    queued(["m"], ["p"])
    run = say(store, 1, f"It was said: {words}")
    assert runs(reader, words) == [run]


@pytest.mark.parametrize("words", ["", "   ", '"', '""', "***", "<|>", "\x00"])
def test_empty_search_is_refused(words: str, reader: Reader) -> None:
    with pytest.raises(QueryError, match="no word to look for"):
        search(reader, words)


def test_search_with_too_many_words_is_refused(reader: Reader) -> None:
    with pytest.raises(QueryError, match="51 words are more than the 50"):
        search(reader, " ".join(map(str, range(51))))


def test_very_long_text_is_searched_quickly(
    store: Store, queued: Callable[..., int], reader: Reader
) -> None:
    queued(["m"], ["p"])
    run = say(store, 1, "red blue " * 30_000)
    reader.limit_s = 5  # choosing a snippet would take a minute
    (row,) = search(reader, "red blue")
    assert (row["run"], len(row["text"])) == (run, 201)


def test_punctuation_between_words_is_ignored() -> None:
    assert as_query("red & <|im_end|>") == '"red" "<|im_end|>"'
    assert as_query('say "a b" c"d') == '"say" "a b" "c""d"'


def test_raw_queries_use_fts_syntax(
    store: Store, queued: Callable[..., int], reader: Reader
) -> None:
    queued(["m"], ["p"])
    red, blue = say(store, 1, "red bicycle"), say(store, 1, "blue bicycle")
    assert runs(reader, "bicycle NOT red", raw=True) == [blue]
    assert runs(reader, "re* OR blue", raw=True) == [blue, red]


@pytest.mark.parametrize("words", ["red AND", '"red', "nosuch:red", "*", "NEAR(a b, x)", ""])
def test_invalid_raw_query_gets_a_hint(words: str, reader: Reader) -> None:
    with pytest.raises(QueryError, match="FTS5 cannot read") as caught:
        search(reader, words, raw=True)
    assert "leave --fts out" in str(caught.value.hint)


def test_run_is_indexed_when_it_ends(
    store: Store, queued: Callable[..., int], reader: Reader
) -> None:
    queued(["m"], ["p"])
    run = store.start_run(1, None)
    ask = "SELECT count(*) FROM runs_fts_docsize"
    for text in ("A", "A red", "A red bic"):
        store.update("runs", run, {"raw_text": text})
        assert runs(reader, "red") == []
        assert store.connection.execute(ask).fetchone() == (0,)
    store.finish_run(run, {"outcome": "ok", "raw_text": "A red bicycle", "text": "A red bicycle"})
    assert runs(reader, "red bicycle") == [run]
    assert runs(reader, "bic") == []
    assert store.connection.execute(ask).fetchone() == (1,)
    sound(store)


def test_index_follows_updates_and_deletes(
    store: Store, queued: Callable[..., int], reader: Reader
) -> None:
    queued(["m"], ["old question"])
    run, gone, silent = say(store, 1, "red"), say(store, 1, "red car"), say(store, 1, None, "error")
    store.update("runs", run, {"raw_text": "blue"})
    store.update("runs", silent, {"raw_text": "green"})
    store.connection.execute("DELETE FROM checks")
    store.connection.execute("UPDATE jobs SET latest_run_id = NULL")
    store.connection.execute("DELETE FROM runs WHERE id = ?", [gone])
    store.connection.execute("UPDATE prompts SET text = 'new question'")
    assert runs(reader, "red") == []
    assert runs(reader, "blue") == [run]
    assert runs(reader, "green") == [silent]
    assert search(reader, "old") == []
    assert len(search(reader, "new question")) == 1
    sound(store)


def test_rebuilt_index_is_equal(store: Store, queued: Callable[..., int], reader: Reader) -> None:
    queued(["m"], ["p"])
    run = say(store, 1, "A red bicycle")
    store.db["runs"].rebuild_fts()
    assert runs(reader, "bicycle") == [run]
    store.update("runs", run, {"raw_text": "A car"})
    assert runs(reader, "bicycle") == []
    sound(store)


def test_sqlite_utils_uses_the_same_index(store: Store, queued: Callable[..., int]) -> None:
    queued(["m"], ["Is it red?"])
    run = say(store, 1, "Two bicycles")
    assert [row["id"] for row in store.db["runs"].search("bicycle")] == [run]
    assert [row["text"] for row in store.db["prompts"].search("red")] == ["Is it red?"]
