"""Where the history lies when nobody says: the system's own folder for a user's data.

`--db` and VLMSWEEP_DB are read by the command line; this is what comes after them.
"""

from __future__ import annotations

from pathlib import Path


def database(given: Path | None) -> Path:
    """The database's absolute path: the one given, or the default."""
    if given is not None:
        return given.expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("vlmsweep", appauthor=False)) / "vlmsweep.db"
