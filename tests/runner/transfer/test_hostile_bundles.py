"""Broken and hostile files are refused with a message, and the database is unchanged."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
import zipfile
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.database.store import Store
from runner.transfer import ExchangeError, bundle_reader, bundle_writer
from runner.transfer.importer import import_file
from tests.helpers import histories
from tests.helpers.histories import Stores

Members = dict[str, bytes]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Members:
    """The files of a sound bundle."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "m").mkdir()
    theirs = Store(folder / "theirs.db")
    data = {"name": "real", "models": ["./m"], "prompts": ["p"]}
    histories.work(theirs, histories.add_real(theirs, folder, data, {"red.png": "red"}))
    (uid,) = theirs.connection.execute("SELECT uid FROM sweeps").fetchone()
    bundle_writer.write_bundle(theirs.path, uid, folder / "sound.zip")
    theirs.close()
    with zipfile.ZipFile(folder / "sound.zip") as file:
        return {name: file.read(name) for name in file.namelist()}


@pytest.fixture
def members(sound: Members) -> Members:
    """The same, to be spoilt."""
    return dict(sound)


def pack(path: Path, members: Members, *more: tuple[zipfile.ZipInfo, bytes]) -> Path:
    """A zip of these files."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
        for info, content in more:
            file.writestr(info, content)
    return path


def state(store: Store) -> tuple[list[str], list[Path]]:
    """All rows and all files of a database."""
    files = [path for path in store.path.parent.rglob("*") if path.is_file()]
    return list(store.connection.iterdump()), sorted(files)


def refused(store: Store, path: Path, why: str) -> None:
    """Checks that an import is refused with a reason and changes nothing."""
    store.folder("images")
    before = state(store)
    with pytest.raises(ExchangeError, match=why) as raised:
        import_file(store, path)
    assert str(path) in raised.value.message
    assert "Traceback" not in raised.value.message
    assert state(store) == before


def change(members: Members, table: str, **columns: Any) -> None:
    """Other values in the first row of a table."""
    name = f"rows/{table}.jsonl"
    first, *rest = members[name].splitlines(keepends=True)
    members[name] = json.dumps(json.loads(first) | columns).encode() + b"\n" + b"".join(rest)


def about(members: Members, **keys: Any) -> None:
    """Other words about the bundle."""
    members["bundle.json"] = json.dumps(json.loads(members["bundle.json"]) | keys).encode()


def test_sound_bundle_is_imported(stores: Stores, members: Members, tmp_path: Path) -> None:
    done = import_file(stores("ours"), pack(tmp_path / "x.zip", members))
    assert (done.sweeps[0].new, done.files.images, done.files.logs) == (True, 1, 1)


CHANGES: dict[str, tuple[Callable[[Members], Any], str]] = {
    "not a bundle": (lambda m: m.pop("bundle.json"), "bundle.json is missing"),
    "words": (lambda m: m.update({"bundle.json": b"hello"}), "not what it should be"),
    "a list": (lambda m: m.update({"bundle.json": b"[]"}), "not what it should be"),
    "depth": (lambda m: m.update({"bundle.json": b"[" * 100_000}), "not what it should be"),
    "another format": (lambda m: about(m, format="x"), "some other program"),
    "newer": (lambda m: about(m, version=99), "newer vlmsweep"),
    "newer schema": (lambda m: about(m, schema=["m001_initial", "m999_x"]), "newer vlmsweep"),
    "no schema": (lambda m: about(m, schema=[]), "none that vlmsweep ever had"),
    "another sweep": (lambda m: about(m, sweep="x"), "the one sweep"),
    "no sweep": (lambda m: m.pop("rows/sweeps.jsonl"), "the one sweep"),
    "no JSON": (lambda m: m.update({"rows/runs.jsonl": b"{"}), "are not lines of JSON"),
    "no row": (lambda m: m.update({"rows/runs.jsonl": b"3\n"}), "are not JSON objects"),
    "an empty row": (lambda m: m.update({"rows/runs.jsonl": b"{}\n"}), "are not JSON objects"),
    "deep row": (
        lambda m: m.update({"rows/runs.jsonl": b'{"a":' * 99_999}),
        "are not lines of JSON",
    ),
    "strange column": (lambda m: change(m, "runs", x=1), "column 'x', which is unknown"),
    "injection": (lambda m: change(m, "runs", **{"id) --": 1}), "which is unknown"),
    "a list in a cell": (lambda m: change(m, "runs", text=[1]), "values that are none"),
    "a huge number": (lambda m: change(m, "runs", output_tokens=2**80), "values that are none"),
    "half a character": (lambda m: change(m, "runs", text="\ud800"), "values that are none"),
    "text for a number": (lambda m: change(m, "runs", attempt="x"), "break the schema's rules"),
    "unknown outcome": (lambda m: change(m, "runs", outcome="won"), "break the schema's rules"),
    "NULL": (lambda m: change(m, "jobs", state=None), "break the schema's rules"),
    "nowhere": (lambda m: change(m, "runs", job_id=77), "reference missing"),
    "uid": (
        lambda m: (change(m, "sweeps", uid="../x"), about(m, sweep="../x")),
        "not a sweep's uid",
    ),
    "hash": (lambda m: change(m, "images", prepared_sha256="../x"), "not an image's hash"),
    "frames": (
        lambda m: change(m, "images", frame_paths='["/etc/passwd"]'),
        "invalid frame file names",
    ),
    "frames that are none": (lambda m: change(m, "images", frame_paths="3"), "is not a JSON array"),
    "bad JSON": (lambda m: change(m, "sweeps", spec="{"), "sweeps.spec is not a JSON"),
    "prompt": (lambda m: change(m, "prompts", turns="[]"), "prompt does not match its hash"),
    "model": (lambda m: change(m, "models", files="{}"), "match its fingerprint"),
    "machine": (
        lambda m: change(m, "environments", cores=999),
        "environment does not match its hash",
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_inconsistent_bundles_are_refused(
    stores: Stores, members: Members, tmp_path: Path, what: str
) -> None:
    spoil, why = CHANGES[what]
    spoil(members)
    refused(stores("ours"), pack(tmp_path / "x.zip", members), why)


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("info", "why"),
    [
        (zipfile.ZipInfo("../../evil"), "leads out of it"),
        (zipfile.ZipInfo("images/../../evil.png"), "leads out of it"),
        (zipfile.ZipInfo("/etc/evil"), "leads out of it"),
        (zipfile.ZipInfo("C:/evil"), "leads out of it"),
        (zipfile.ZipInfo("images\\evil.png"), "not a plain name"),
        (zipfile.ZipInfo("images/\x1b[2Jevil.png"), "not a plain name"),
        (link("logs/worker-1.log.x"), "a link or device"),
        (zipfile.ZipInfo("rows/runs.jsonl"), "twice"),
    ],
)
def test_unexpected_member_names_are_refused(
    stores: Stores, members: Members, tmp_path: Path, info: zipfile.ZipInfo, why: str
) -> None:
    with pytest.warns(UserWarning, match="Duplicate") if why == "twice" else nullcontext():
        path = pack(tmp_path / "x.zip", members, (info, b"/etc/passwd"))
    refused(stores("ours"), path, why)
    assert not (tmp_path / "evil").exists()


def test_decompression_bomb_is_refused(stores: Stores, members: Members, tmp_path: Path) -> None:
    members["rows/notes.jsonl"] = b"\0" * (80 << 20)
    path = pack(tmp_path / "x.zip", members)
    assert path.stat().st_size < 200_000
    refused(stores("ours"), path, "that is a bomb")


def test_oversized_member_is_refused(stores: Stores, members: Members, tmp_path: Path) -> None:
    members["logs/worker-1.log"] = b"\0" * (17 << 20)
    refused(stores("ours"), pack(tmp_path / "x.zip", members), "larger than it can be")


def test_truncated_or_changed_zip_is_refused(
    stores: Stores, members: Members, tmp_path: Path
) -> None:
    whole = pack(tmp_path / "x.zip", members).read_bytes()
    for number, length in enumerate((20, len(whole) // 2, len(whole) - 10)):
        path = tmp_path / f"cut{number}.zip"
        path.write_bytes(whole[:length])
        refused(stores("ours"), path, "not a valid zip file")
    with zipfile.ZipFile(tmp_path / "x.zip") as file:
        info = file.getinfo("rows/runs.jsonl")
    spoilt = bytearray(whole)
    spoilt[info.header_offset + 60] ^= 0xFF
    (tmp_path / "spoilt.zip").write_bytes(spoilt)
    refused(stores("ours"), tmp_path / "spoilt.zip", "damaged")


def test_any_damage_is_reported_without_traceback(
    stores: Stores, members: Members, tmp_path: Path
) -> None:
    """A flipped bit anywhere is refused with a message, or harmless because nothing reads it."""
    whole = pack(tmp_path / "x.zip", members).read_bytes()
    ours, refusals = stores("ours"), 0
    for at in range(0, len(whole), max(1, len(whole) // 30)):
        spoilt = bytearray(whole)
        spoilt[at] ^= 0x55
        (tmp_path / "spoilt.zip").write_bytes(spoilt)
        try:
            import_file(ours, tmp_path / "spoilt.zip")
        except ExchangeError:
            refusals += 1
    assert refusals > 15


def test_encrypted_bundle_is_refused(stores: Stores, members: Members, tmp_path: Path) -> None:
    spoilt = bytearray(pack(tmp_path / "x.zip", members).read_bytes())
    central = spoilt.index(b"PK\x01\x02")
    spoilt[central + 8] |= 1
    (tmp_path / "x.zip").write_bytes(spoilt)
    refused(stores("ours"), tmp_path / "x.zip", "encrypted")


def test_image_with_a_wrong_hash_is_not_imported(
    stores: Stores, members: Members, tmp_path: Path
) -> None:
    name = next(name for name in members if name.endswith(".png"))
    Image.new("RGB", (40, 30), "blue").save(tmp_path / "blue.png")
    for content in ((tmp_path / "blue.png").read_bytes(), b"\x89PNG\r\n\x1a\n rubbish"):
        members[name] = content
        done = import_file(stores("ours"), pack(tmp_path / "x.zip", members))
        assert (done.files.images, done.files.refused) == (0, 1)
    (prepared,) = stores("ours").connection.execute("SELECT prepared_path FROM images").fetchone()
    assert not Path(prepared).exists()


def test_paths_in_rows_do_not_select_files(
    stores: Stores, members: Members, tmp_path: Path
) -> None:
    """An image's row could name any file of this machine's, to be carried off later."""
    change(members, "images", prepared_path="/etc/passwd", prepared_sha256=None)
    change(members, "workers", log_path="/etc/passwd")
    import_file(stores("ours"), pack(tmp_path / "x.zip", members))
    ours = stores("ours")
    ask = "SELECT prepared_path, frame_paths FROM images"
    assert ours.connection.execute(ask).fetchone() == (None, None)
    (log,) = ours.connection.execute("SELECT log_path FROM workers").fetchone()
    assert Path(log).is_relative_to(ours.folder("logs"))


# Whole databases.


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("PRAGMA application_id = 7", "some other program"),
        ("DROP TABLE _sqlite_migrations", "cannot be read"),
        (
            "DELETE FROM _sqlite_migrations WHERE name = 'm001_initial'",
            "none that vlmsweep ever had",
        ),
        ("UPDATE _sqlite_migrations SET name = 'm999_x' WHERE id = 1", "newer vlmsweep"),
        ("DROP TABLE memory_samples", "no table memory_samples"),
        ("ALTER TABLE prompts RENAME COLUMN turns TO talk", "cannot be read"),
        ("UPDATE prompts SET text = 'x', turns = '[]'", "prompt does not match its hash"),
        ("UPDATE sweeps SET uid = '../../etc' WHERE id = 1", "not a sweep's uid"),
        ("DELETE FROM prompts WHERE id = 1", "reference missing"),
        (
            "UPDATE sweep_models SET load_spec = json_set(load_spec, '$.dtype', 'evil')",
            "not a valid value of the load option 'dtype'",
        ),
        (
            "UPDATE sweep_models SET load_spec = json_set(load_spec, '$.evil', 1)",
            "unknown load option 'evil'",
        ),
    ],
)
def test_databases_with_a_wrong_schema_are_refused(
    stores: Stores, theirs: Store, statement: str, why: str
) -> None:
    theirs.connection.execute("PRAGMA foreign_keys = OFF")
    for view in ("results", "summary", "scored", "model_scores"):
        theirs.connection.execute(f"DROP VIEW IF EXISTS {view}")
    theirs.connection.execute(statement)
    refused(stores("ours"), theirs.path, why)


def test_view_instead_of_a_table_is_refused(stores: Stores, theirs: Store) -> None:
    theirs.connection.execute("PRAGMA foreign_keys = OFF")
    theirs.connection.execute("DROP TABLE memory_samples")
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n"
    theirs.connection.execute(f"CREATE VIEW memory_samples AS {endless}")
    refused(stores("ours"), theirs.path, "no table memory_samples")


def test_expressions_in_the_file_are_not_evaluated(stores: Stores, theirs: Store) -> None:
    theirs.connection.execute("PRAGMA foreign_keys = OFF")
    theirs.connection.execute("ALTER TABLE memory_samples DROP COLUMN device_bytes")
    theirs.connection.execute(
        "ALTER TABLE memory_samples ADD COLUMN device_bytes INTEGER"
        " GENERATED ALWAYS AS (length(zeroblob(900000000))) VIRTUAL"
    )
    refused(stores("ours"), theirs.path, "memory_samples has no stored column device_bytes")


def test_imported_trigger_never_fires(stores: Stores, theirs: Store) -> None:
    theirs.connection.execute(
        "CREATE TRIGGER evil AFTER INSERT ON runs BEGIN DELETE FROM sweeps; END"
    )
    assert len(import_file(stores("ours"), theirs.path).sweeps) == 3
    ask = "SELECT count(*) FROM sqlite_master WHERE name = 'evil'"
    assert stores("ours").connection.execute(ask).fetchone() == (0,)


def test_damaged_database_is_refused(stores: Stores, theirs: Store) -> None:
    theirs.close()
    whole = theirs.path.read_bytes()
    theirs.path.write_bytes(whole[:100] + os.urandom(3000) + whole[3100:])
    refused(stores("ours"), theirs.path, "cannot be read")
    theirs.path.write_bytes(whole[: len(whole) // 2])
    refused(stores("ours"), theirs.path, "cannot be read")


def test_link_out_of_the_folder_is_not_followed(
    stores: Stores, theirs: Store, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (log,) = theirs.connection.execute("SELECT log_path FROM workers WHERE id = 1").fetchone()
    Path(log).unlink()
    Path(log).symlink_to(tmp_path / "secret.txt")
    workers = theirs.db["workers"].count
    assert import_file(stores("ours"), theirs.path).files.logs == workers - 1


def test_file_that_is_neither_bundle_nor_database_is_refused(
    stores: Stores, tmp_path: Path
) -> None:
    (tmp_path / "diary.txt").write_text("dear diary")
    refused(stores("ours"), tmp_path / "diary.txt", "neither a bundle nor a database")
    refused(stores("ours"), tmp_path / "gone", "no such file")
    refused(stores("ours"), tmp_path, "it is a folder")
    refused(stores("ours"), stores("ours").path, "the database to import into")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE x (y)")
    refused(stores("ours"), tmp_path / "other.db", "some other program")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        file.writestr("holiday.jpg", b"...")
    refused(stores("ours"), tmp_path / "photos.zip", "bundle.json is missing")


def test_harmless_extra_files_are_ignored(stores: Stores, members: Members, tmp_path: Path) -> None:
    """As a zip gets them that was unpacked and packed again."""
    members |= {"images/": b"", "__MACOSX/._x": b"x", "notes.txt": b"mine"}
    done = import_file(stores("ours"), pack(tmp_path / "x.zip", members))
    assert done.files.images == 1
    assert bundle_reader.MOST_MEMBERS > 100_000
