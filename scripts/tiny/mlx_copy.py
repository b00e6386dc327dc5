"""MLX copies of tiny checkpoints, as `mlx_vlm convert` made those of mlx-community.

    python scripts/tiny/mlx_copy.py SOURCE TARGET BITS

It runs in a separate process: mlx-vlm replaces `AutoProcessor.from_pretrained` when imported.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

GROUP = 32


def convert(source: Path, target: Path, *, bits: int = 0) -> None:
    """Convert `source`; where `bits` is not 0, quantise all but its vision tower."""
    command = [sys.executable, __file__, str(source), str(target), str(bits)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"mlx_vlm could not convert {source.name}: {done.stderr[-2000:]}")
    (target / "README.md").unlink(missing_ok=True)


def main(source: str, target: str, bits: int) -> None:
    """Convert here and now."""
    from mlx_vlm import convert as mlx_convert

    config = json.loads((Path(source) / "config.json").read_bytes())
    if config["model_type"] == "phi3_v":
        from mlx_vlm.models.phi3_v.vision import VisionModel

        clip = VisionModel.CLIP_VIT_LARGE_PATCH14_336_CONFIG
        clip.num_hidden_layers = config["img_processor"]["num_hidden_layers"]
        clip.intermediate_size = config["img_processor"]["intermediate_size"]
    mlx_convert(
        source,
        target,
        quantize=bits > 0,
        q_bits=bits or 4,
        q_group_size=GROUP,
        dtype=config.get("torch_dtype"),
        trust_remote_code=False,
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
