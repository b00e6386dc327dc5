"""A short Python program that does what a worker did, by the library's own documented calls.

For somebody without vlmsweep: the same model, numbers, device, prompt and settings, and a place
for the picture. What our workers do on top (counting, streaming, repairs) is left out; what a
family needs to be asked at all is not. Where the conversation stopped, the program stops too.
"""

from __future__ import annotations

from . import mlx_program, server_program, torch_program
from .case import RunRecord
from .discretion import redact

# Where a family's own code has to be called, the writer is another one.
FAMILIES = {"moondream2": torch_program.moondream, "phi3_v": torch_program.phi3_v}


def snippet(case: RunRecord) -> str:
    """The program's text."""
    if case.run["phase"] == "prepare":
        name = placeholder_name(case)
        lines = ["from PIL import Image", "", f'Image.open("{name}").convert("RGB")']
    elif case.engine == "openai":
        lines = server_program.server(case)
    elif case.engine == "mlx":
        lines = mlx_program.mlx(case)
    else:
        family = str(case.worker.get("family"))
        lines = FAMILIES.get(family, torch_program.transformers)(case)
    return redact("\n".join(lines)) + "\n"


def placeholder_name(case: RunRecord) -> str:
    """A name for the file that could not be prepared."""
    broken = next((row for row in case.pictures if row["error_class"]), None)
    suffix = str(broken["name"]).rpartition(".")[2] if broken else "png"
    return f"picture.{suffix}" if suffix.isalnum() else "picture"
