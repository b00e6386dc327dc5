"""Images in folders: links, folders that cannot be read, thumbnails, and what is left out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.errors import SweepFileError
from runner.planning import expand, image_folders, sweepfile
from runner.planning.image_folders import LeftOut, list_images
from runner.planning.plan import Plan
from runner.preflight import images, run
from schemas import stream


@pytest.fixture
def pics(tmp_path: Path) -> Path:
    return fill(tmp_path / "pics", "a.png", "sub/b.jpg")


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def listed(folder: Path) -> tuple[list[str], dict[str, str]]:
    left_out: list[LeftOut] = []
    found = list_images(folder, left_out)
    names = [str(path.relative_to(folder)) for path in found]
    return names, {str(one.path.relative_to(folder)): one.reason for one in left_out}


def planned(base: Path, *patterns: str) -> Plan:
    data: dict[str, Any] = {"models": ["org/m"], "prompts": ["p"], "images": list(patterns)}
    return expand.expand_sweep(sweepfile.validate(data, "test"), base, "test")


def test_linked_folders_are_followed(pics: Path, tmp_path: Path) -> None:
    fill(tmp_path / "nas", "c.png", "deep/d.png")
    (pics / "linked").symlink_to(tmp_path / "nas")
    names, left_out = listed(pics)
    assert names == ["a.png", "linked/c.png", "linked/deep/d.png", "sub/b.jpg"]
    assert left_out == {}


def test_links_in_a_circle_end(pics: Path, tmp_path: Path) -> None:
    fill(tmp_path / "nas", "c.png")
    (pics / "sub" / "up").symlink_to(pics)
    (pics / "other").symlink_to(tmp_path / "nas")
    (tmp_path / "nas" / "back").symlink_to(pics / "sub")
    (tmp_path / "nas" / "self").symlink_to(tmp_path / "nas")
    names, left_out = listed(pics)
    assert names == ["a.png", "other/c.png", "sub/b.jpg"]
    seen = {"sub/up", "other/back", "other/self"}
    assert left_out == dict.fromkeys(seen, image_folders.SEEN)


def test_a_link_never_takes_the_place_of_the_real_folder(pics: Path) -> None:
    (pics / "a_link").symlink_to(pics / "sub")
    assert listed(pics) == (["a.png", "sub/b.jpg"], {"a_link": image_folders.SEEN})


@pytest.mark.parametrize(
    "name", ["@eaDir", ".thumbnails", "#recycle", ".@__thumb", "__MACOSX", ".picasaoriginals"]
)
def test_thumbnail_folders_are_left_out(pics: Path, name: str) -> None:
    fill(pics / "sub" / name, "SYNOPHOTO_THUMB_M.jpg", "b.jpg/x.png")
    assert listed(pics) == (["a.png", "sub/b.jpg"], {f"sub/{name}": image_folders.SYSTEM})
    assert listed(pics / "sub" / name)[0] == ["SYNOPHOTO_THUMB_M.jpg", "b.jpg/x.png"]


@pytest.mark.parametrize("name", ["eaDir", "recycle", "macosx", "thumbnails of mine", "tmp"])
def test_ordinary_folders_are_kept(pics: Path, name: str) -> None:
    fill(pics / name, "c.png")
    names, left_out = listed(pics)
    assert f"{name}/c.png" in names
    assert left_out == {}


def test_other_files_are_left_out_with_a_reason(pics: Path) -> None:
    fill(pics, ".hid/c.png", "._a.png", "clip.MP4", "raw.CR2", "notes.txt")
    (pics / "gone").symlink_to(pics / "nowhere")
    names, left_out = listed(pics)
    assert names == ["a.png", "sub/b.jpg"]
    assert left_out == {
        ".hid": image_folders.HIDDEN,
        "._a.png": image_folders.HIDDEN,
        "clip.MP4": image_folders.VIDEO,
        "raw.CR2": image_folders.RAW,
        "gone": image_folders.BROKEN_LINK,
    }


def test_link_with_an_image_suffix_is_an_image_wherever_it_leads(pics: Path) -> None:
    (pics / "lost.png").symlink_to("nowhere")
    (pics / "loop.png").symlink_to("loop.png")
    (pics / "loop").symlink_to("loop")
    names, left_out = listed(pics)
    assert names == ["a.png", "loop.png", "lost.png", "sub/b.jpg"]
    assert list(left_out) == ["loop"]
    assert "symbolic links" in left_out["loop"]


@pytest.fixture
def locked(pics: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Makes a folder unreadable, for root too."""
    real = os.scandir

    def lock(folder: Path) -> None:
        def scandir(path: Any = ".") -> Any:
            if Path(path) == folder:
                raise PermissionError(13, "Permission denied", str(path))
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)

    return lock


def test_unreadable_folder_is_a_warning(pics: Path, locked: Callable[[Path], None]) -> None:
    locked(pics / "sub")
    plan = planned(pics.parent, "pics")
    assert [path.name for path in plan.images] == ["a.png"]
    (one,) = plan.left_out
    assert (one.path, one.severity) == (pics / "sub", "warning")
    assert one.reason == "cannot be read (permission denied)"


def test_folder_without_a_usable_image_names_the_reasons(
    pics: Path, locked: Callable[[Path], None]
) -> None:
    locked(pics)
    with pytest.raises(SweepFileError, match=r"left out: cannot be read \(permission denied\)"):
        planned(pics.parent, "pics")
    fill(pics.parent / "empty", "x.mp4")
    with pytest.raises(SweepFileError, match="left out: videos"):
        planned(pics.parent, "empty")


def test_globs_leave_out_thumbnails_and_repeated_folders(pics: Path) -> None:
    fill(pics / "@eaDir", "t.png")
    (pics / "sub" / "up").symlink_to(pics)
    plan = planned(pics.parent, "pics/**/*.png")
    assert [path.name for path in plan.images] == ["a.png"]
    assert {one.reason for one in plan.left_out} == {image_folders.SYSTEM, image_folders.SEEN}
    named = planned(pics.parent, "pics/@eaDir/*.png")
    assert [path.name for path in named.images] == ["t.png"]
    assert named.left_out == ()
    folders = planned(pics.parent, "pics/*")
    assert [path.name for path in folders.images] == ["a.png", "b.jpg"]


def test_plan_and_run_report_the_same_list(pics: Path) -> None:
    fill(pics, *(f"d{i}/@eaDir/t.jpg" for i in range(5)), "x.mp4")
    plan = planned(pics.parent, "pics")
    findings = list(images.left_out_findings(plan))
    assert [found.severity for found in findings] == ["note", "note"]
    assert findings[1].message.startswith(f"5 left out: {image_folders.SYSTEM}: ")
    assert "d0/@eaDir" in findings[1].message
    assert findings[1].message.endswith(" and 2 more")
    assert set(findings) <= set(run.run_preflight(plan, None, hub=False).findings)
    events: list[stream.StreamEvent] = []
    run.emit_findings(findings, events.append)
    sent = [event.message for event in events if isinstance(event, stream.PreflightFinding)]
    assert sent == [found.message for found in findings]
