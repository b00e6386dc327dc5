"""Finds vlmsweep's own packages before others of the same name, on PYTHONPATH for example.

`runner` installs the finder when it is imported, `vlmsweep.__main__` before that. Child processes
are started by path, `python -P own_packages.py MODULE ARGUMENT...`: see `command`.
"""

from __future__ import annotations

import os
import runpy
import sys
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
NAMES = ("runner", "workers", "schemas", "images")


class OwnPackageFinder:
    """A finder for `sys.meta_path` that knows our own packages only."""

    @staticmethod
    def find_spec(
        name: str, path: object = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of one of our packages; None for any other module."""
        return PathFinder.find_spec(name, [ROOT]) if path is None and name in NAMES else None


def install() -> None:
    """Find our own packages first, in this process, from now on."""
    if not any(getattr(one, "__name__", "") == "OwnPackageFinder" for one in sys.meta_path):
        sys.meta_path.insert(0, OwnPackageFinder)


def hidden_by() -> tuple[str, str] | None:
    """Return one of our packages that was imported from elsewhere, and its path; None normally."""
    for name in NAMES:
        paths = getattr(sys.modules.get(name), "__path__", None)
        if paths is not None and os.path.join(ROOT, name) not in list(paths):  # noqa: PTH118
            return name, next(iter(paths), "")
    return None


def exit_if_hidden() -> None:
    """Exit with code 2 and one sentence if another package has taken its place."""
    if (found := hidden_by()) is not None:
        name, path = found
        print(
            f"Error: the package {name!r} in {path} hides vlmsweep's own package of that name;"
            " remove it from PYTHONPATH, or start vlmsweep from another folder",
            file=sys.stderr,
        )
        sys.exit(2)


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line that runs one of our modules in this interpreter.

    -P: a stray json.py in the user's folder must not be imported.
    """
    return (sys.executable, "-P", os.path.abspath(__file__), module, *arguments)  # noqa: PTH100


if __name__ == "__main__":
    install()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
