"""Serves all manners until interrupted: `python -m tests.helpers.openai_manners --port 8123`."""

from __future__ import annotations

import argparse
import threading
from contextlib import suppress

from . import manners, serving


def main() -> None:
    """Serve, and list the manners with `--list`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--list", action="store_true", help="print the manners and leave")
    options = parser.parse_args()
    table = manners()
    if options.list:
        for name, manner in table.items():
            expected = manner.expected
            classes = "/".join(expected.error_classes)
            print(f"{name:32} {expected.outcome} {classes} retry={expected.retry}")
        return
    with serving(table, options.port) as server:
        print(f"{server.address}/v1 with {len(table)} models manner:NAME", flush=True)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
