"""Images that a stored sweep needs, and that were deleted, moved away or changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from runner.commands.retry import retry_jobs
from runner.database import sweep_writer
from runner.database.store import Store
from runner.image_prep import prepare
from runner.image_prep.restore_images import restore_images
from runner.planning import expand, sweepfile
from runner.system import environment


@dataclass
class Shown:
    """A sweep about one image, its job ended with an error."""

    store: Store
    sweep: int
    source: Path
    prepared: Path

    def image(self) -> dict[str, object]:
        (row,) = self.store.db.query("SELECT * FROM images")
        return dict(row)


@pytest.fixture
def shown(store: Store, tmp_path: Path) -> Shown:
    source = tmp_path / "a.png"
    Image.new("RGB", (8, 8), "red").save(source)
    data = {"models": ["./good"], "prompts": ["what?"], "images": ["a.png"]}
    (tmp_path / "good").mkdir()
    plan = expand.expand_sweep(sweepfile.validate(data, "test"), tmp_path, "test")
    folder = store.folder("images")
    made = prepare.prepare_images(plan.images, max_side=1024, max_frames=8, folder=folder)
    sweep = sweep_writer.add_sweep(store, plan, made, environment.supervisor_environment())
    store.finish_run(store.start_run(1, None), {"outcome": "error"})
    assert made[0].prepared_path is not None
    return Shown(store, sweep, source, made[0].prepared_path)


def nothing() -> None:
    """Between two images."""


def test_retry_prepares_pruned_images_before_the_run(shown: Shown) -> None:
    shown.prepared.unlink()
    shown.store.close()
    assert retry_jobs(shown.store.path, {"level": "sweep", "id": shown.sweep}) == {"queued": 1}
    assert shown.prepared.is_file()


@pytest.mark.parametrize("level", ["model", "job"])
def test_retry_accepts_every_kind_of_target(shown: Shown, level: str) -> None:
    shown.prepared.unlink()
    shown.store.close()
    assert retry_jobs(shown.store.path, {"level": level, "id": 1}) == {"queued": 1}
    assert shown.prepared.is_file()


@pytest.mark.parametrize("prepared", ["/another/place/a.png", None])
def test_retry_uses_the_new_path_of_a_moved_image(shown: Shown, prepared: str | None) -> None:
    """The database was moved with its folder, or came from another machine."""
    shown.store.connection.execute("UPDATE jobs SET state = 'queued'")
    shown.store.connection.execute("UPDATE images SET prepared_path = ?", [prepared])
    restore_images(shown.store, shown.sweep, nothing)
    assert shown.image()["prepared_path"] == str(shown.prepared)


@pytest.mark.parametrize(
    "spoil", [lambda path: path.unlink(), lambda path: Image.new("RGB", (9, 9)).save(path)]
)
def test_retry_refuses_an_image_whose_source_changed(
    shown: Shown, spoil: Callable[[Path], None]
) -> None:
    shown.store.connection.execute("UPDATE jobs SET state = 'queued'")
    shown.prepared.unlink()
    spoil(shown.source)
    restore_images(shown.store, shown.sweep, nothing)
    assert shown.image()["error_class"] == "not_found"
