"""Make tiny random-weight checkpoints in the families' real architectures and hub layouts.

    python scripts/make_tiny_models.py OUT [--family smolvlm2] [--seed 0]

A few MB each, the same bytes for the same seed and library versions. Their answers are random but
reproducible and fast: enough for tests of loading, counting and equality. A new family is one
file in `scripts/tiny/` and one line in `FAMILIES`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # so that tests can import this by its path

from tiny import (
    gemma3,
    internvl,
    llava,
    mlx_layouts,
    moondream2,
    moondream2_mlx,
    paligemma,
    phi3_v,
    phi3_v_remote,
    qwen2_5_vl,
    smolvlm,
    smolvlm_256m,
)

FAMILIES: dict[str, Callable[[Path, int], None]] = {
    "smolvlm2": smolvlm.make_smolvlm2,
    "smolvlm": smolvlm.make_smolvlm,
    "llava": llava.make_llava,
    "llava_next": llava.make_llava_next,
    "smolvlm2_mlx": mlx_layouts.make_smolvlm2_mlx,
    "smolvlm2_mlx_4bit": mlx_layouts.make_smolvlm2_mlx_4bit,
    "llava_next_mlx_4bit": mlx_layouts.make_llava_next_mlx_4bit,
    "moondream2_mlx": moondream2_mlx.make_moondream2_mlx,
    "phi3_v_mlx_4bit": phi3_v.make_phi3_v_mlx_4bit,
    "moondream2": moondream2.make_moondream2,
    "moondream1": moondream2.make_moondream1,
    "phi3_v_remote": phi3_v_remote.make_phi3_v_remote,
    "smolvlm_256m": smolvlm_256m.make_smolvlm_256m,
    "qwen2_5_vl": qwen2_5_vl.make_qwen2_5_vl,
    "gemma3": gemma3.make_gemma3,
    "internvl3": internvl.make_internvl3,
    "paligemma": paligemma.make_paligemma,
}


def make(family: str, out: Path, seed: int = 0) -> Path:
    """Make one family's checkpoint in `out`/`family`; the result is that folder."""
    folder = out / family
    folder.mkdir(parents=True, exist_ok=True)
    FAMILIES[family](folder, seed)
    return folder


def main() -> None:
    """Make what the command line asks for, all families by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path)
    parser.add_argument("--family", action="append", choices=sorted(FAMILIES))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for family in options.family or FAMILIES:
        print(make(family, options.out, options.seed))


if __name__ == "__main__":
    main()
