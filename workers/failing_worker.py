"""`python -m workers.failing_worker JSON --events-fd N`: a worker that only reports a failure.

It runs in vlmsweep's own environment in place of a worker whose environment could not be made,
so that its model fails as any other model that cannot be loaded.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys

from schemas.events import Error, Started

from .main_loop import EXIT_LOAD_FAILED
from .protocol import EventWriter


def main() -> None:
    """Report the failure and exit with the status of a failed load."""
    parser = argparse.ArgumentParser(prog="python -m workers.failing_worker", description=__doc__)
    parser.add_argument("failure", metavar="JSON")
    parser.add_argument("--events-fd", type=int, required=True, metavar="N")
    options = parser.parse_args()
    failure = json.loads(options.failure)
    emit = EventWriter(options.events_fd)
    emit(Started(pid=os.getpid(), python=platform.python_version(), executable=sys.executable))
    emit(
        Error(
            phase="start",
            error_class="environment",
            exception="EnvironmentError",
            message=failure["message"],
            hint=failure["hint"],
        )
    )
    sys.exit(EXIT_LOAD_FAILED)


if __name__ == "__main__":
    main()
