"""Make an environment with transformers 4 that borrows this one's torch, or find it made.

    python scripts/make_old_env.py FOLDER        (prints the interpreter's path)

Text must not depend on the library's age: acceptance tests run our workers under both majors.
Packages come from the pip settings of the machine; versions from constraints-transformers4.txt.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

CONSTRAINTS = Path(__file__).parents[1] / "constraints-transformers4.txt"
DONE = "made-of"


def make(folder: Path) -> Path:
    """The interpreter of an environment in `folder`, created again if the constraints changed."""
    own = sysconfig.get_path("purelib")
    wanted = hashlib.sha256(CONSTRAINTS.read_bytes() + own.encode()).hexdigest()
    python = folder / "bin" / "python"
    mark = folder / DONE
    if mark.is_file() and mark.read_text(encoding="ascii") == wanted:
        return python
    venv.create(folder, clear=True, with_pip=True, symlinks=True)
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "-r", str(CONSTRAINTS)]
    subprocess.run([*install, "--disable-pip-version-check"], check=True)
    theirs = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(theirs, check=True, capture_output=True, text=True).stdout.strip()
    # After its own packages on the path: torch and the rest come from here, transformers not.
    (Path(packages) / "zz-borrowed.pth").write_text(own + "\n", encoding="utf-8")
    mark.write_text(wanted, encoding="ascii")
    return python


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(make(Path(sys.argv[1]).resolve()))
