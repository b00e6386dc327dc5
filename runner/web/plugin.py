"""A plugin of Datasette's: images in rows, links to rows, and figures with their units.

All text of models stays with Datasette, which escapes it; what is made here is of numbers, and of
names that are escaped.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasette import Response, hookimpl
from markupsafe import Markup

from ..database.liveness import has_supervisor
from ..database.reader import authorize
from ..text import units
from ..view.grid import kind_of
from . import images, metadata

if TYPE_CHECKING:
    from datasette.app import Datasette
    from datasette.utils.asgi import Request

STYLE = Path(__file__).with_name("style.css")
SHOW: dict[str, Callable[[float], str]] = {
    "seconds": units.seconds,
    "bytes": units.size,
    "rate": units.rate,
}
# Columns of views and queries that are numbers of rows.
ROWS = {"run": "runs", "job": "jobs", "worker": "workers"}
ROWS |= {"run_id": "runs", "job_id": "jobs", "worker_id": "workers", "sweep_id": "sweeps"}
ROWS |= {"sweep_model_id": "sweep_models", "image_id": "images"}
OF_JOB = "SELECT image_id FROM job_images WHERE job_id = ? ORDER BY position"
OF_RUN = (
    "SELECT image_id FROM job_images JOIN runs USING (job_id) WHERE runs.id = ? ORDER BY position"
)
THUMBNAIL = Markup(
    '<a href="{0}"><img class="thumbnail" loading="lazy" alt="" src="{0}/small"></a>'
)


@hookimpl
def prepare_connection(conn: sqlite3.Connection, database: str) -> None:
    """Holds every statement to what our own readers may do."""
    if database == metadata.NAME:
        conn.set_authorizer(authorize)


@hookimpl
def extra_css_urls() -> list[str]:
    """Our few rules of style."""
    return ["/-/vlmsweep.css"]


@hookimpl
def register_routes() -> list[tuple[str, Callable[..., Awaitable[Response]]]]:
    """Images, and the style."""
    return [
        (r"^/-/image/(?P<number>\d{1,15})(?P<small>/small)?$", image),
        (r"^/-/vlmsweep\.css$", style),
    ]


async def image(datasette: Datasette, request: Request) -> Response:
    """The image of a row of `images`."""
    database = datasette.get_database(metadata.NAME)
    number, small = int(request.url_vars["number"]), bool(request.url_vars["small"])
    found = await images.image_png(database, number, small)
    if found is None:
        return Response.text("No such image", status=404)
    kept = {"cache-control": "private, max-age=600"}
    return Response(body=found, headers=kept, content_type="image/png")


async def style() -> Response:
    """The style sheet."""
    return Response(body=STYLE.read_text(encoding="utf-8"), content_type="text/css")


@hookimpl
def render_cell(
    row: sqlite3.Row,
    value: Any,
    column: str,
    table: str | None,
    database: str,
    datasette: Datasette,
) -> Any:
    """A cell that is more than text; None leaves it to Datasette."""
    if value is None or database != metadata.NAME:
        return None
    if column == "state" and value == "running" and table in ("sweeps", "jobs"):
        path = datasette.get_database(database).path
        return None if path is None or has_supervisor(Path(path)) else "supervisor gone"
    if column == "image" or (table == "images" and column == "name"):
        return image_cell(row, str(value), table, datasette)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if column in ROWS and table in (None, "results", "summary"):
        address = datasette.urls.row(database, ROWS[column], str(value))
        return Markup('<a href="{}">{}</a>').format(address, value)
    if (show := SHOW.get(kind_of(column))) is not None:
        return Markup('<span class="figure" title="{}">{}</span>').format(value, show(value))
    return None


async def image_cell(
    row: sqlite3.Row, text: str, table: str | None, datasette: Datasette
) -> Markup | None:
    """An image's name, and the image itself above it."""
    numbers = await image_ids_of_row(row, table, datasette)
    if not numbers:
        return None
    made = Markup("").join(
        THUMBNAIL.format(datasette.urls.path(f"/-/image/{number}")) for number in numbers
    )
    return Markup('<div class="images">{}</div>{}').format(made, text)


async def image_ids_of_row(row: sqlite3.Row, table: str | None, datasette: Datasette) -> list[int]:
    """The numbers of a row's images, by the image, job or run it is of."""
    keys = row.keys()
    if table == "images":
        return [row["id"]]
    for key, sql in (("job_id", OF_JOB), ("run_id", OF_RUN), ("run", OF_RUN)):
        if key in keys and isinstance(row[key], int):
            found = await datasette.get_database(metadata.NAME).execute(sql, [row[key]])
            return [number for (number,) in found.rows]
    return []
