"""The history in a browser: real Datasette, real pages, and nobody else's requests."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner
from PIL import Image

from runner import queries
from runner.cli import cli
from runner.database.store import Store
from runner.database.sweep_writer import add_image
from runner.web import metadata, server
from runner.web.canned_queries import CannedQuery, to_canned_query
from schemas import rows
from schemas.image import PreparedImage
from tests.helpers.paths import ROOT
from tests.helpers.waiting import WAIT_S

EVIL = "<script>alert(1)</script> \x1b[31m red"
QUERY = """-- What was said, the longest first.
--
-- Of each job its latest run.
--
-- :model = '*'  a name; * stands for anything
-- :longest = 9  characters at most
-- :limit = 5  how many
SELECT model, image, run_id AS run, text, latency_s FROM results
-- a comment with :limit in it
WHERE model GLOB :model AND length(text) <= :longest LIMIT :limit
"""


@pytest.fixture
def history(store: Store, queued: Callable[..., int], tmp_path: Path) -> Store:
    """A job with an image, one with hostile output, and one that failed."""
    sweep = queued(["good"], ["a", "b", "c"], name="tonight")
    Image.new("RGBA", (400, 200), "red").save(tmp_path / "prepared.png")
    path = tmp_path / "<b>photo.jpg"
    made = PreparedImage(path=path, source_sha256="1", prepared_path=tmp_path / "prepared.png")
    image = add_image(store, made, 1024)
    add_image(
        store, PreparedImage(path=Path("/etc/passwd"), prepared_path=Path("/etc/passwd")), 1024
    )
    finished = {"outcome": "ok", "latency_s": 1.25, "peak_rss_bytes": 448_000_000}
    jobs = store.connection.execute("SELECT id FROM jobs WHERE sweep_id = ?", [sweep]).fetchall()
    late = {"outcome": "timeout", "message": EVIL}
    texts = [finished | {"text": "red"}, finished | {"text": EVIL}, late]
    for (job,), outcome in zip(jobs, texts, strict=True):
        store.finish_run(store.start_run(job, None), outcome)
        store.insert("job_images", {"job_id": job, "position": 0, "image_id": image})
    return store


@pytest.fixture
def asked(tmp_path: Path) -> list[CannedQuery]:
    (tmp_path / "said.sql").write_text(QUERY)
    (tmp_path / "summary.sql").write_text("-- As the view.\nSELECT 7 AS seven")
    return [to_canned_query(queries.read(tmp_path / f"{name}.sql")) for name in ("said", "summary")]


@pytest.fixture
def get(history: Store, asked: list[CannedQuery]) -> Iterator[Callable[[str], Any]]:
    """Asks the site for a page, in this process."""
    site = server.make_datasette(history.path, asked)

    def ask(path: str) -> Any:
        return asyncio.run(site.client.get(path))

    yield ask
    site.get_database("history").close()
    site.executor.shutdown()


def test_front_page_lists_the_contents(get: Callable[[str], Any]) -> None:
    page = get("/history").text
    for name in rows.TABLES | rows.VIEWS:
        hidden = name.endswith("_fts")  # as Datasette hides all indexes for searching
        assert (f'href="/history/{name}"' in page) is not hidden
    assert "One flat row per job" in page
    assert "What was said, the longest first" in page
    assert 'href="/history/summary-query"' in page
    assert "_sqlite_migrations" not in page


def test_every_table_and_view_opens_with_column_descriptions(get: Callable[[str], Any]) -> None:
    for name, row in (rows.TABLES | rows.VIEWS).items():
        page = get(f"/history/{name}")
        assert page.status_code == 200
        for column in row.__annotations__:
            assert f"<dt>{column}</dt><dd>" in page.text


def test_model_output_is_escaped(get: Callable[[str], Any]) -> None:
    for path in ("/history/results", "/history/runs", "/history/said?model=*&longest=99&limit=9"):
        page = get(path).text
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert(1)" not in page
        assert "<b>photo" not in page


def test_rows_show_images_numbers_and_links(get: Callable[[str], Any]) -> None:
    page = get("/history/results").text
    assert page.count('<img class="thumbnail" loading="lazy" alt="" src="/-/image/1/small">') == 3
    assert "&lt;b&gt;photo.jpg" in page
    assert '<span class="figure" title="1.25">1.25 s</span>' in page
    assert '<span class="figure" title="448000000">448 MB</span>' in page
    assert '<a href="/history/runs/1">1</a>' in page
    assert "/-/image/1/small" in get("/history/images").text
    assert "/-/image/1/small" in get("/history/said?model=*&longest=9&limit=5").text


def test_images_are_served_only_by_row(get: Callable[[str], Any]) -> None:
    whole, small = get("/-/image/1"), get("/-/image/1/small")
    assert whole.headers["content-type"] == "image/png"
    assert Image.open(BytesIO(whole.content)).size == (400, 200)
    assert Image.open(BytesIO(small.content)).size == (160, 80)
    for path in ("2", "99", "../etc/passwd", "%2Fetc%2Fpasswd", "1/other", "1?path=/etc/passwd"):
        answer = get(f"/-/image/{path}")
        assert answer.status_code in (302, 404) or answer.content == whole.content
        assert b"root:" not in answer.content


def test_named_queries_are_available(get: Callable[[str], Any], asked: list[CannedQuery]) -> None:
    canned = next(question for question in asked if question.name == "said")
    assert canned.defaults == {"model": "*", "longest": "9", "limit": "5"}
    assert canned.title == "What was said, the longest first"
    found = get("/history/said.json?model=*&longest=9&limit=5&_shape=array").json()
    assert [row["text"] for row in found] == ["red"]
    assert get("/history/summary-query.json?_shape=array").json() == [{"seven": 7}]
    assert get("/history/summary.json?_shape=array").json()[0]["model"] == "good"


def test_writes_are_refused(get: Callable[[str], Any], history: Store) -> None:
    for sql in (
        "delete from runs",
        "attach 'x.db' as x",
        "with x as (select 1) delete from runs",
        "pragma user_version = 7",
        "select load_extension('x')",
    ):
        assert get(f"/history.json?{urlencode({'sql': sql})}").status_code == 400
    assert history.connection.execute("SELECT count(*) FROM runs").fetchone() == (3,)


def test_page_shows_rows_of_a_running_sweep(get: Callable[[str], Any], history: Store) -> None:
    count = "/history.json?sql=select+count(*)+as+n+from+runs&_shape=array"
    assert get(count).json() == [{"n": 3}]
    history.start_run(1, None)
    assert get(count).json() == [{"n": 4}]
    assert get("/history").status_code == 200


def test_unusual_database_name_opens(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1? ünï.db"
    Store(path).close()
    site = server.make_datasette(path, [])
    assert asyncio.run(site.client.get("/history/results")).status_code == 200
    site.get_database("history").close()
    site.executor.shutdown()


def test_large_tables_are_not_counted_per_page() -> None:
    assert metadata.table_metadata(counted=True)["results"]["facets"] == [
        "sweep",
        "model",
        "outcome",
    ]
    assert "facets" not in metadata.table_metadata(counted=False)["results"]
    assert metadata.table_metadata(counted=False)["runs"]["facets"] == ["outcome"]


# The guard.


def test_query_page_without_parameters_redirects_to_defaults(asked: list[CannedQuery]) -> None:
    from runner.web.host_guard import HostGuardMiddleware

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError

    guard = HostGuardMiddleware(app, 1, "/history", {"/history/said": asked[0].defaults})

    def led(path: str, query: str) -> str | None:
        return guard.elsewhere({"path": path, "query_string": query.encode()})

    assert led("/", "") == "/history"
    assert led("/history/said", "") == "/history/said?model=%2A&longest=9&limit=5"
    assert led("/history/said.json", "limit=&model=x") == (
        "/history/said.json?limit=&model=x&longest=9"
    )
    assert led("/history/said", "model=x&longest=1&limit=1") is None
    assert led("/history/results", "") is None


# The command, as a process.


def env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def request(port: int, path: str, host: str) -> tuple[int, str, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    connection.request("GET", path, headers={"Host": host})
    answer = connection.getresponse()
    found = answer.status, answer.headers.get("Content-Security-Policy", ""), answer.read()
    connection.close()
    return found


def test_browse_serves_localhost_until_ctrl_c(history: Store, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('a stray file was imported')")
    before = sorted(tmp_path.iterdir())
    command = [sys.executable, "-P", "-m", "runner", "browse", "--no-open", "--db"]
    browsing = subprocess.Popen(
        [*command, str(history.path)], env=env(), cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert browsing.stdout
    try:
        line = browsing.stdout.readline()
        port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", line)[1])  # type: ignore[index]
        own = f"127.0.0.1:{port}"
        with urllib.request.urlopen(f"http://{own}/", timeout=WAIT_S) as page:
            assert "vlmsweep&#39;s history" in page.read().decode()
        status, policy, body = request(
            port, "/history/results.json?_shape=array", f"localhost:{port}"
        )
        assert (status, len(json.loads(body))) == (200, 3)
        assert "frame-ancestors 'none'" in policy
        for host in ("evil.example", f"evil.example:{port}", "127.0.0.1", f"{own}.evil.example"):
            status, _, body = request(port, "/history/results.json", host)
            assert status == 421
            assert b"red" not in body
        taken = CliRunner().invoke(cli, ["browse", "--port", str(port), "--db", str(history.path)])
        assert taken.exit_code == 2
        assert "leave --port out" in taken.stderr
        browsing.send_signal(signal.SIGINT)
        assert browsing.wait(WAIT_S) == 0
    finally:
        browsing.kill()
        browsing.wait()
        browsing.stdout.close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=5)
    assert sorted(tmp_path.iterdir()) == before


def test_server_exits_with_its_parent(history: Store) -> None:
    command = [sys.executable, "-m", "runner", "browse", "--no-open", "--db", str(history.path)]
    browsing = subprocess.Popen(command, env=env(), stdout=subprocess.PIPE, text=True)
    assert browsing.stdout
    line = browsing.stdout.readline()
    port = int(re.search(r":(\d+)/", line)[1])  # type: ignore[index]
    browsing.kill()
    browsing.wait()
    browsing.stdout.close()
    for _ in range(1000):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            break
    else:
        pytest.fail("it still listens")


def test_missing_datasette_is_reported(
    history: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    done = CliRunner().invoke(cli, ["browse", "--db", str(tmp_path / "none.db")])
    assert done.exit_code == 3
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = CliRunner().invoke(cli, ["browse", "--db", str(history.path)])
    assert done.exit_code == 2
    assert "pip install 'vlmsweep[browse]'" in done.stderr


def test_database_in_an_unwritable_folder_is_refused(
    history: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As SQLite refuses a log's database in a folder that cannot be written; root can any."""

    def refused(*_: Any, **more: Any) -> sqlite3.Connection:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr("runner.web.Reader", lambda path: MagicMock())
    monkeypatch.setattr("runner.web.sqlite3.connect", refused)
    done = CliRunner().invoke(cli, ["browse", "--db", str(history.path)])
    assert done.exit_code == 3
    assert "browse a copy" in done.stderr


# Other programs open the file as it is.


def test_sqlite_utils_opens_the_file_and_its_views(history: Store) -> None:
    def ask(*arguments: str) -> Any:
        command = [sys.executable, "-m", "sqlite_utils", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    path = str(history.path)
    assert {row["table"] for row in ask("tables", path)} >= set(rows.TABLES)
    assert {row["view"] for row in ask("views", path)} == set(rows.VIEWS)
    found = ask("rows", path, "results", "-c", "model", "-c", "text")
    assert {row["text"] for row in found} == {"red", EVIL, None}


def test_datasette_opens_the_file_without_setup(history: Store) -> None:
    from datasette.app import Datasette

    site = Datasette([str(history.path)])
    try:
        for name in rows.VIEWS | rows.TABLES:
            assert asyncio.run(site.client.get(f"/history/{name}.json")).status_code == 200
    finally:
        for database in site.databases.values():
            database.close()
        site.executor.shutdown()
    assert sqlite3.connect(history.path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
