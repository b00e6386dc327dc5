"""`vlmsweep` and `python -m runner`. Ctrl-C is quiet from the first import on."""

from __future__ import annotations

import sys

from . import own_packages


def main() -> None:
    """Runs the command line."""
    own_packages.exit_if_hidden()
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
