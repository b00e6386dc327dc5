"""Answers find their jobs: by image and prompt, or with words that help."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from runner.errors import SweepFileError
from runner.scoring.match_references import JobKey, match
from runner.scoring.reference_file import ReferenceAnswer


class Folder:
    """Images on disk, and a file of reference answers in the same folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def image(self, name: str) -> str:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        return str(path)

    def match(self, rows: list[ReferenceAnswer], asked: list[JobKey]) -> dict[int, tuple[str, ...]]:
        return match(self.path / "answers.csv", rows, asked)

    def complaint(self, rows: list[ReferenceAnswer], asked: list[JobKey]) -> str:
        with pytest.raises(SweepFileError) as caught:
            self.match(rows, asked)
        return f"{caught.value.message} / {caught.value.hint}"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def row(images: str | None, prompt: str | None, *accepted: str, sha256: str | None = None):
    names = tuple((images or "").split())
    return ReferenceAnswer("line 2", names, sha256, prompt, accepted or ("yes",))


def job(key: int, *images: str, prompt: str = "What is this?", name: str | None = None) -> JobKey:
    return JobKey(key, images, name, prompt)


@pytest.mark.parametrize("name", ["a.png", "train/a.png", "./train/../train/a.png"])
def test_image_is_matched_by_path_or_name(folder: Folder, name: str) -> None:
    image = folder.image("train/a.png")
    assert folder.match([row(name, None)], [job(7, image)]) == {7: ("yes",)}


def test_moved_image_is_matched_by_name(folder: Folder, tmp_path: Path) -> None:
    image = folder.image("far/away/a.png")
    asked = [job(1, image), job(2, folder.image("b.png"))]
    in_folder = Folder(tmp_path / "lists")
    assert in_folder.match([row("away/a.png", None)], asked) == {1: ("yes",)}


def test_name_of_several_images_is_ambiguous(folder: Folder) -> None:
    asked = [job(1, folder.image("x/a.png")), job(2, folder.image("y/a.png"))]
    assert "may be any of" in folder.complaint([row("a.png", None)], asked)
    assert "give more of its path" in folder.complaint([row("a.png", None)], asked)
    assert folder.match([row("y/a.png", None)], asked) == {2: ("yes",)}
    digest = hashlib.sha256(b"y/a.png").hexdigest()
    assert folder.match([row("a.png", None, sha256=digest)], asked) == {2: ("yes",)}


def test_image_is_matched_by_content(folder: Folder) -> None:
    asked = [job(1, folder.image("a.png")), job(2, folder.image("b.png"))]
    digest = hashlib.sha256(b"b.png").hexdigest()
    assert folder.match([row(None, None, sha256=digest)], asked) == {2: ("yes",)}
    assert folder.match([row("was-renamed.png", None, sha256=digest)], asked) == {2: ("yes",)}
    known = JobKey(3, ("/gone/c.png",), None, "p", ("f" * 64,))
    assert folder.match([row(None, None, sha256="f" * 64)], [known]) == {3: ("yes",)}


def test_unknown_images_are_reported_with_suggestions(folder: Folder) -> None:
    asked = [job(1, folder.image("bicycle.png"))]
    rows = [row("bicylce.png", None), row("nothing-like-it.png", None)]
    message = folder.complaint(rows, asked)
    assert "2 problems" in message
    assert "'bicylce.png' (did you mean bicycle.png?)" in message


def test_reference_file_may_cover_other_images(folder: Folder) -> None:
    asked = [job(1, folder.image("a.png"))]
    folder.image("not-in-the-sweep.png")
    rows = [row("a.png", "What is this?"), row("not-in-the-sweep.png", None)]
    rows.append(row("a.png", "How tall is the tower in metres?", "55"))
    assert folder.match(rows, asked) == {1: ("yes",)}


def test_answers_that_match_nothing_are_an_error(folder: Folder) -> None:
    asked = [job(1, folder.image("a.png"))]
    message = folder.complaint([row("a.png", "Something else altogether")], asked)
    assert "none of its answers" in message
    assert "'Something else altogether'" in message
    assert "'What is this?'" in message


def test_prompts_are_matched_by_name_and_text_ignoring_case(folder: Folder) -> None:
    asked = [job(1, prompt="What colour\nis it?", name="colour"), job(2, prompt="Why?")]
    assert folder.match([row(None, "COLOUR", "red")], asked) == {1: ("red",)}
    assert folder.match([row(None, "what colour is it?", "red")], asked) == {1: ("red",)}


def test_misspelt_prompt_is_an_error(folder: Folder) -> None:
    asked = [job(1, prompt="What colour is it?"), job(2, prompt="Why?")]
    rows = [row(None, "What color is it?", "red"), row(None, "Why?", "because")]
    message = folder.complaint(rows, asked)
    assert "nothing asks 'What color is it?' (did you mean 'What colour is it?'?)" in message
    rows.append(row(None, "What colour is it?", "red"))
    assert folder.match(rows, asked) == {1: ("red",), 2: ("because",)}


def test_more_specific_answers_win(folder: Folder) -> None:
    image, other = folder.image("a.png"), folder.image("b.png")
    asked = [job(1, image), job(2, image, prompt="Why?"), job(3, other), job(4)]
    rows = [
        row(None, "What is this?", "any"),
        row("a.png", None, "image"),
        row("a.png", "What is this?", "both"),
        row("a.png", "What is this?", "and more"),
    ]
    assert folder.match(rows, asked) == {
        1: ("both", "and more"),
        2: ("image",),
        3: ("any",),
        4: ("any",),
    }


def test_job_with_several_images_is_matched_in_order(folder: Folder) -> None:
    a, b = folder.image("a.png"), folder.image("b.png")
    asked = [job(1, a, b), job(2, b, a), job(3, a)]
    assert folder.match([row("b.png a.png", None)], asked) == {2: ("yes",)}
