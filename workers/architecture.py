"""Whether the installed library of an engine has code for a checkpoint's architecture."""

from __future__ import annotations

from schemas.commands import Load
from schemas.engines import engine_info

from .checkpoint import Checkpoint
from .error_classes import WorkerFailure
from .library_source import known_to_mlx, known_to_transformers
from .quantisation import LIBRARY, library_major


def check_architecture(checkpoint: Checkpoint, engine: str, ask: Load) -> None:
    """Raises `unknown_architecture`, or `remote_code_not_allowed` where its own code would do."""
    name = checkpoint.model_type or ""
    info = engine_info(engine)
    if LIBRARY in info.libraries:
        if known_to_transformers(name) is not False or (
            checkpoint.auto_map and ask.trust_remote_code
        ):
            return
        if checkpoint.auto_map:
            raise WorkerFailure(
                "remote_code_not_allowed",
                f"transformers has no model of type {name!r}; the checkpoint brings its own code",
                "If you trust the authors of {model}, set trust_remote_code for it and pin its"
                " revision.",
            )
        version = library_major(LIBRARY)
        raise WorkerFailure(
            "unknown_architecture",
            f"transformers {version} has no model of type {name!r} that takes images",
            "A newer transformers may know {model}: `pip install -U transformers`.",
        )
    if info.weights_format is None or checkpoint.config.get("model_file"):
        return
    if known_to_mlx(name.lower(), checkpoint.architectures) is False:
        known = known_to_transformers(name)
        other = "choose engine: transformers." if known else "choose another engine."
        raise WorkerFailure(
            "unknown_architecture",
            f"mlx-vlm has no model of type {name!r}",
            f"A newer mlx-vlm may know {{model}}: `pip install -U mlx-vlm`; else {other}",
        )
