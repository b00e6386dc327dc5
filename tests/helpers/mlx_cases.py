"""The mlx engine over many checkpoints in one process, for what each refuses or answers.

    python tests/helpers/mlx_cases.py < cases.json > outcomes.json

A case is {"folder", "load": {...}, "asks": [{"turns": [{"text", "images"}], "generation": {...}}]};
its outcome {"failure": {...}} or {"loaded": {...}, "answers": [...]}. mlx-vlm takes seconds to
import, and must not be imported where the transformers engine's tests run.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from schemas.commands import Load, Run, Turn
from schemas.events import WorkerPhase
from schemas.generation import Generation
from workers.checkpoint import read_checkpoint
from workers.conversation import answer_all
from workers.engine import make_engine
from workers.error_classes import classify
from workers.families import find_family


def attempt(act: Callable[[], dict[str, Any]], phase: WorkerPhase) -> dict[str, Any]:
    """Returns the result, or the error class of the failure."""
    try:
        return act()
    except Exception as error:
        failure = classify(error, phase)
        return {
            "error_class": failure.error_class,
            "message": failure.message,
            "hint": failure.hint,
            "exception": type(error).__name__,
        }


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Load one checkpoint and ask it all."""
    folder = Path(case["folder"])
    engine = make_engine("mlx")

    def load() -> dict[str, Any]:
        checkpoint = read_checkpoint(folder)
        ask = Load(model=str(folder), local=True, engine="mlx", **case.get("load", {}))
        family = find_family(checkpoint.config)
        return asdict(engine.load(checkpoint, family, ask, lambda event: None))

    def answer(ask: dict[str, Any]) -> dict[str, Any]:
        turns = tuple(Turn(text=t["text"], images=tuple(t["images"])) for t in ask["turns"])
        generation = Generation(**ask["generation"])
        asked = Run(run=1, turns=turns, generation=generation)
        return asdict(answer_all(asked, engine, lambda event: None, lambda phase: None))

    loaded = attempt(load, "load")
    if "error_class" in loaded:
        return {"failure": loaded}
    answers = [attempt(lambda ask=ask: answer(ask), "prefill") for ask in case["asks"]]
    return {"loaded": loaded, "answers": answers}


def main() -> None:
    """Run the cases named on standard input."""
    cases = json.load(sys.stdin)
    found = {name: run(case) for name, case in cases.items()}
    sys.__stdout__.write("\n" + json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
