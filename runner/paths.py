"""Where the history and the user's own queries lie: the system's folders for such things.

`--db` and VLMSWEEP_DB are read by the command line; this is what comes after them.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def database_path(given: Path | None) -> Path:
    """The database's absolute path: the one given, or the default."""
    if given is not None:
        return given.expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("vlmsweep", appauthor=False)) / "vlmsweep.db"


def shell_command_name() -> str:
    """How to call this vlmsweep from a shell: by its name, or by its path where that is not found.

    `scripts/demo` makes an environment that nobody has activated.
    """
    called = sys.argv[0]
    if shutil.which("vlmsweep") or Path(called).name != "vlmsweep":
        return "vlmsweep"
    return shlex.quote(called)


def queries_folder() -> Path:
    """The folder of the user's own named queries; it need not be there."""
    if given := os.environ.get("VLMSWEEP_QUERIES"):
        return Path(given).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_config_dir("vlmsweep", appauthor=False)) / "queries"
