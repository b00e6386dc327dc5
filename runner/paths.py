"""The default places of the history and the user's queries: the system's data folders.

`--db` and VLMSWEEP_DB are read by the command line; these are the defaults after them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path

from .errors import DatabaseError
from .system.read_file import describe_os_error, irregular_kind
from .text.sanitize import display_path, truncate


def database_path(given: Path | None) -> Path:
    """The database's absolute path: the one given, or the default.

    Raises DatabaseError where no database can be: a folder, a FIFO, an unreadable folder.
    """
    if given is None:
        import platformdirs

        return Path(platformdirs.user_data_dir("vlmsweep", appauthor=False)) / "vlmsweep.db"
    path = expand_home(given).absolute()
    shown = truncate(display_path(path), 200)
    try:
        status = path.stat()
    except FileNotFoundError:
        return path
    except (OSError, ValueError) as error:
        raise unusable_database(shown, describe_os_error(error)) from error
    if (kind := irregular_kind(status)) is not None:
        raise unusable_database(shown, f"it is {kind}")
    return path


def unusable_database(shown: str, reason: str) -> DatabaseError:
    """The error for a path at which no database can be made or opened."""
    return DatabaseError(
        f"cannot use {shown} as a database: {reason}",
        hint="give another file with --db, or set VLMSWEEP_DB",
    )


def expand_home(path: Path) -> Path:
    """The path with a leading ~ replaced; unchanged where that names no user."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def shell_command_name() -> str:
    """How to call this vlmsweep from a shell: by its name, or by its path where that is not found.

    `scripts/demo` makes an environment that nobody has activated.
    """
    called = sys.argv[0]
    if shutil.which("vlmsweep") or Path(called).name != "vlmsweep":
        return "vlmsweep"
    return shlex.quote(called)


def queries_folder() -> Path:
    """The folder of the user's own named queries; it need not exist."""
    if given := os.environ.get("VLMSWEEP_QUERIES"):
        return expand_home(Path(given)).absolute()
    import platformdirs

    return Path(platformdirs.user_config_dir("vlmsweep", appauthor=False)) / "queries"
