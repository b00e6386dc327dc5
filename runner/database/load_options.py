"""Reads the load options that `sweep_models.load_spec` holds."""

from __future__ import annotations

from schemas.load_spec import LoadSpec

from ..errors import DatabaseError


def read_load_spec(text: str) -> LoadSpec:
    """Parse the column `load_spec`. Raises DatabaseError for options that are unknown or
    invalid.
    """
    try:
        return LoadSpec.from_json(text)
    except (ValueError, RecursionError) as error:
        raise DatabaseError(
            f"the database holds load options that cannot be used: {error}",
            hint="a newer vlmsweep may have written them: upgrade vlmsweep",
        ) from error
