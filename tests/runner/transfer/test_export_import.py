"""Export and import: equal rows anywhere, a second import adds nothing, files are included."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from runner.cli import cli
from runner.database.store import Store
from runner.errors import DatabaseError
from runner.transfer import bundle_writer, importer, view
from runner.transfer.importer import import_file
from tests.helpers import histories
from tests.helpers.histories import Stores

PLACES = ("prepared_path", "log_path")  # each database has its own


def uids(store: Store) -> dict[str, str]:
    return dict(store.connection.execute("SELECT name, uid FROM sweeps").fetchall())


def export(store: Store, folder: Path) -> list[Path]:
    """A bundle of each sweep."""
    paths = []
    for name, uid in uids(store).items():
        paths.append(folder / f"{name}.zip")
        bundle_writer.write_bundle(store.path, uid, paths[-1])
    return paths


def test_bundle_import_into_an_empty_database_gives_equal_rows(
    stores: Stores, theirs: Store, tmp_path: Path
) -> None:
    for path in export(theirs, tmp_path):
        (sweep,) = import_file(stores("ours"), path).sweeps
        assert sweep.new
    found = histories.rows(stores("ours").connection, PLACES)
    assert found == histories.rows(theirs.connection, PLACES)
    assert len(found["runs"]) == 20
    assert found["scores"]


def test_bundle_import_adds_equal_rows_to_a_filled_database(
    stores: Stores, theirs: Store, tmp_path: Path
) -> None:
    ours = stores("ours")
    histories.work(ours, histories.add_sweep(ours, tmp_path, "mine", ["q", "s", "t"]), 7)
    before, other = (histories.rows(s.connection, PLACES) for s in (ours, theirs))
    for path in export(theirs, tmp_path):
        import_file(ours, path)
    after = histories.rows(ours.connection, PLACES)
    for table, found in after.items():
        assert set(found) == set(before[table]) | set(other[table]), table
        assert len(found) == len(set(found)), table


def test_second_import_of_a_bundle_adds_nothing(
    stores: Stores, theirs: Store, tmp_path: Path
) -> None:
    ours = stores("ours")
    paths = [*export(theirs, tmp_path), theirs.path]
    for path in paths:
        import_file(ours, path)
    before = list(ours.connection.iterdump())
    for path in paths:
        done = import_file(ours, path)
        assert view.is_complete([done])
        assert [view.state(sweep) for sweep in done.sweeps] == ["unchanged"] * len(done.sweeps)
    assert list(ours.connection.iterdump()) == before


def test_database_import_gives_equal_rows_and_leaves_the_source(
    stores: Stores, theirs: Store
) -> None:
    theirs.close()
    before = hashlib.sha256(theirs.path.read_bytes()).hexdigest()
    done = import_file(stores("ours"), theirs.path)
    assert len(done.sweeps) == 3
    assert hashlib.sha256(theirs.path.read_bytes()).hexdigest() == before
    with closing(sqlite3.connect(theirs.path)) as again:
        assert histories.rows(stores("ours").connection, PLACES) == histories.rows(again, PLACES)


def test_export_is_byte_identical_in_any_folder(
    stores: Stores, theirs: Store, tmp_path: Path
) -> None:
    ours = stores("ours")
    histories.work(ours, histories.add_sweep(ours, tmp_path, "mine", ["s"]))
    uid = uids(theirs)["two"]
    for number in (1, 2):
        bundle_writer.write_bundle(theirs.path, uid, tmp_path / f"{number}.zip")
    import_file(ours, tmp_path / "2.zip")
    bundle_writer.write_bundle(ours.path, uid, tmp_path / "3.zip")
    contents = {(tmp_path / f"{number}.zip").read_bytes() for number in (1, 2, 3)}
    assert len(contents) == 1


def test_images_and_logs_are_included(stores: Stores, tmp_path: Path) -> None:
    ours, theirs = stores("ours"), stores("theirs")
    (tmp_path / "m").mkdir()
    data = {"name": "real", "models": ["./m"], "prompts": ["p"]}
    files = {"red.png": "red", "copy of red.png": "red", "blue.png": "blue"}
    histories.work(theirs, histories.add_real(theirs, tmp_path, data, files))
    (path,) = export(theirs, tmp_path)
    done = import_file(ours, path)
    assert (done.files.images, done.files.logs, done.files.refused) == (2, 1, 0)
    for name, colour in {"red.png": (255, 0, 0), "blue.png": (0, 0, 255)}.items():
        (prepared,) = ours.connection.execute(
            "SELECT prepared_path FROM images WHERE name = ?", [name]
        ).fetchone()
        assert Path(prepared).is_relative_to(ours.folder("images"))
        with Image.open(prepared) as image:
            assert image.getpixel((0, 0)) == colour
    (log,) = ours.connection.execute("SELECT log_path FROM workers").fetchone()
    assert Path(log).is_relative_to(ours.folder("logs"))
    assert Path(log).read_text().startswith("worker 1 of ")
    again = import_file(ours, path)
    assert (again.files.images, again.files.logs) == (0, 0)
    assert import_file(stores("third"), theirs.path).files == done.files


def test_bundle_without_images_keeps_their_paths(stores: Stores, tmp_path: Path) -> None:
    theirs = stores("theirs")
    (tmp_path / "m").mkdir()
    data = {"models": ["./m"], "prompts": ["p"]}
    histories.work(theirs, histories.add_real(theirs, tmp_path, data, {"red.png": "red"}))
    (uid,) = theirs.connection.execute("SELECT uid FROM sweeps").fetchone()
    done = bundle_writer.write_bundle(theirs.path, uid, tmp_path / "x.zip", images=False)
    assert done.counts.images == 0
    with zipfile.ZipFile(tmp_path / "x.zip") as file:
        assert not [name for name in file.namelist() if name.endswith(".png")]
        assert str(tmp_path / "red.png") in file.read("sweep.yaml").decode()
    import_file(stores("ours"), tmp_path / "x.zip")
    found = histories.rows(stores("ours").connection, PLACES)
    assert found == histories.rows(theirs.connection, PLACES)


def test_exported_logs_have_no_secrets(
    stores: Stores, theirs: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_API_KEY", "0123-very-secret")
    token = "hf_" + "a1" * 20
    (log,) = theirs.connection.execute("SELECT log_path FROM workers WHERE id = 1").fetchone()
    reply = (
        f"GET {token}\nkey 0123-very-secret\nAuthorization: Bearer abcdefghijk\nhttp://me:pw@h/\n"
    )
    Path(log).write_text(reply + "TOKENIZERS_PARALLELISM=false\n")
    bundle_writer.write_bundle(theirs.path, uids(theirs)["one"], tmp_path / "x.zip")
    with zipfile.ZipFile(tmp_path / "x.zip") as file:
        text = file.read("logs/worker-1.log").decode()
    for secret in (token, "0123-very-secret", "abcdefghijk", "me:pw"):
        assert secret not in text
    assert text.count("[secret]") == 4
    assert "TOKENIZERS_PARALLELISM=false" in text


def test_database_in_use_can_be_exported_but_not_imported_into(
    stores: Stores, theirs: Store
) -> None:
    done = import_file(stores("ours"), theirs.path)  # a supervisor holds the source database
    assert len(done.sweeps) == 3
    with pytest.raises(DatabaseError, match="another vlmsweep"):
        importer.import_all(stores("ours").path, [theirs.path])


def command(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_export_and_import_commands(stores: Stores, theirs: Store, tmp_path: Path) -> None:
    place, ours = tmp_path / "one.zip", tmp_path / "new.db"
    done = command("export", "one", "-o", place, "--db", theirs.path)
    assert done.exit_code == 0, done.output
    assert "8 runs" in done.stderr
    assert done.stdout == ""
    done = command("import", place, theirs.path, "--db", ours, "--json")
    assert done.exit_code == 0, done.output
    rows = json.loads(done.stdout)
    assert [(row["sweep"], row["state"], row["runs"]) for row in rows] == [
        ("one", "new", 8),
        ("one", "unchanged", 0),
        ("two", "new", 8),
        ("three", "new", 4),
    ]
    theirs.connection.execute("UPDATE runs SET text = 'other' WHERE id = 1")
    done = command("import", theirs.path, "--db", ours)
    assert done.exit_code == 1
    assert "existing rows kept where they differ: runs (1)" in " ".join(done.stdout.split())
    done = command("import", tmp_path / "gone.zip", place, "--db", ours)
    assert done.exit_code == 2
    assert "unchanged" in done.stdout
    assert "gone.zip was not imported: it cannot be read: no such file" in done.stderr


def test_export_refuses_to_overwrite_its_database(theirs: Store) -> None:
    done = command("export", "one", "--bundle", "-o", theirs.path, "--db", theirs.path)
    assert done.exit_code == 2
    assert "is the database itself" in done.stderr
    assert theirs.connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
