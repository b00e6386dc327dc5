"""`vlmsweep` and `python -m runner`. Ctrl-C is quiet from the first import on."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line."""
    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
