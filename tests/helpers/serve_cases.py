"""Many checkpoints through a worker's own life, in one process: what each says in the end.

    python tests/helpers/serve_cases.py < cases.json > outcomes.json

A case is the fields of a load, and runs of one turn each: {"load": {...}, "runs": [{"text",
"images", ...generation}]}. Its outcome is the events that matter. One process a library, for
importing one takes seconds, and mlx-vlm must not be imported together with the transformers engine.
"""

from __future__ import annotations

import io
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from schemas.commands import Load, Run, Stop, Turn
from schemas.events import Event
from schemas.generation import Generation
from workers.main_loop import serve

STREAM_FIELDS = ("loaded", "run_finished", "error", "worker_exiting")


def outcome(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a worker that ran this case."""
    commands: list[Load | Run | Stop] = [Load(**{"local": True, **case["load"]})]
    for number, run in enumerate(case["runs"], start=1):
        turn = Turn(text=run.pop("text"), images=tuple(run.pop("images", ())))
        generation = Generation(**{"max_new_tokens": 8, **run})
        commands.append(Run(run=number, turns=(turn,), generation=generation))
    commands.append(Stop())
    lines = b"".join(json.dumps(asdict(command)).encode() + b"\n" for command in commands)
    emitted: list[Event] = []
    serve(io.BytesIO(lines), emitted.append)
    return [asdict(event) for event in emitted if event.event in STREAM_FIELDS]


def main() -> None:
    """Run the cases named on standard input."""
    cases = json.load(sys.stdin)
    found = {name: outcome(case) for name, case in cases.items()}
    assert sys.__stdout__
    sys.__stdout__.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
