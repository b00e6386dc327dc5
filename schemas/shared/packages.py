"""Packages that are not installed: who needs them, and the line that installs them.

The one wording for the supervisor, which checks before a start, and for the workers, which refuse.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# The name to install of each import name, where they differ by more than `_` for `-`.
PIP_NAMES = {
    "PIL": "pillow",
    "aqlm": "aqlm[cpu,gpu]",
    "awq": "autoawq",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "flute": "flute-kernel",
    "optimum.quanto": "optimum-quanto",
    "pyvips": "pyvips[binary]",
    "quark": "amd-quark",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "spqr_quant": "spqr_quant[gpu]",
    "yaml": "pyyaml",
}


@dataclass(frozen=True, slots=True)
class MissingPackages:
    """Import names that are not installed. `needed_by` starts a sentence: "its code needs".

    `extra` is the extra of vlmsweep that installs them, None if there is none.
    """

    needed_by: str
    packages: tuple[str, ...]
    extra: str | None = None


def pip_name(package: str) -> str:
    """The name to install a package by."""
    return PIP_NAMES.get(package, package)


def describe_missing(missing: Sequence[MissingPackages], where: str) -> str:
    """Return `the mlx engine needs mlx, mlx_vlm; its code needs einops, not installed in ...`."""
    parts = (f"{need.needed_by} {', '.join(map(pip_name, need.packages))}" for need in missing)
    return f"{'; '.join(parts)}, not installed in {where}"


def install_command(missing: Iterable[MissingPackages], python: str | None = None) -> str:
    """Return the line that installs them, for `python`, or for the current environment."""
    needs = list(missing)
    names = [f"vlmsweep[{need.extra}]" for need in needs if need.extra]
    names += [pip_name(name) for need in needs if not need.extra for name in need.packages]
    words = " ".join(f"'{name}'" if "[" in name else name for name in dict.fromkeys(names))
    pip = f"{shlex.quote(python)} -m pip" if python else "pip"
    return f"{pip} install {words}"
