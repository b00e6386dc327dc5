"""Requests to the overnight queue from other terminals."""

from __future__ import annotations

from typing import Annotated, TypedDict


class DatabaseToken(TypedDict, total=False):
    """One random token, by which a supervisor finds leftover processes of this database."""

    token: Annotated[str, "In the environment of the workers, with the database's path."]


class Requests(TypedDict, total=False):
    """A request that changed the queue, and its reply; each is carried out only once."""

    uid: Annotated[str, "Unique id from the sending command; a repeated request has no effect."]
    processed_at: Annotated[str, "When it was carried out."]
    action: Annotated[str, "Requested action, such as add, cancel or move."]
    arguments: Annotated[str, "JSON object: the action's arguments, without the sweep's text."]
    reply: Annotated[str, "JSON object: the reply to the sending command."]
