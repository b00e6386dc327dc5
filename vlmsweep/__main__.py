"""`vlmsweep` and `python -m vlmsweep`."""

from __future__ import annotations

import runpy
from pathlib import Path

OWN_PACKAGES = Path(__file__).resolve().parents[1] / "runner" / "own_packages.py"


def main() -> None:
    """Runs the command line of our own `runner`."""
    own = runpy.run_path(str(OWN_PACKAGES))  # `import runner` may find another package
    own["install"]()
    own["exit_if_hidden"]()
    from runner.__main__ import main as run

    run()


if __name__ == "__main__":
    main()
