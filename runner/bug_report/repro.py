"""A short Python program that does what a worker did, by the library's own documented calls.

For somebody without vlmsweep: the same model, numbers, device, prompt and settings, and a place
for the image. What our workers do on top (counting, streaming, repairs) is left out; what a
family needs to be asked at all is not. Where the conversation stopped, the program stops too.
"""

from __future__ import annotations

from . import repro_mlx, repro_openai, repro_transformers
from .redact import redact
from .run_record import RunRecord

# Where a family's own code has to be called, the writer is another one.
FAMILIES = {"moondream2": repro_transformers.moondream, "phi3_v": repro_transformers.phi3_v}


def snippet(case: RunRecord) -> str:
    """The program's text."""
    if case.run["phase"] == "prepare":
        name = placeholder_name(case)
        lines = ["from PIL import Image", "", f'Image.open("{name}").convert("RGB")']
    elif case.engine == "openai":
        lines = repro_openai.server(case)
    elif case.engine == "mlx":
        lines = repro_mlx.mlx(case)
    else:
        family = str(case.worker.get("family"))
        lines = FAMILIES.get(family, repro_transformers.transformers)(case)
    return redact("\n".join(lines)) + "\n"


def placeholder_name(case: RunRecord) -> str:
    """A name for the file that could not be prepared."""
    broken = next((row for row in case.images if row["error_class"]), None)
    suffix = str(broken["name"]).rpartition(".")[2] if broken else "png"
    return f"image.{suffix}" if suffix.isalnum() else "image"
