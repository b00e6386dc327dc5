"""Measures the accuracy and the cost of memory sampling.

A process takes 400 MB for 25 ms, another maps a file of 2 GiB laid out as safetensors and reads
it all; for both the recorded peak is compared with the process's VmHWM. Linux only. Status 1 means
that the figures are worse than what docs/trust.md promises.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from runner.supervisor.memory_tracker import MemoryTracker  # noqa: E402
from runner.supervisor.worker_process import SAMPLE_EVERY_S  # noqa: E402

SUBJECT = """
import mmap, sys, time
def mark():
    with open("/proc/self/status") as file:
        return [int(l.split()[1]) * 1024 for l in file if l.startswith("VmHWM")][0]
print("ready", flush=True)
for line in sys.stdin:
    what, argument = line.split()
    if what == "spike":
        area = mmap.mmap(-1, int(argument), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        for at in range(0, len(area), 4096):
            area[at] = 1
        time.sleep(0.025)
        area.close()
    elif what == "map":
        file = open(argument, "rb")
        area = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        total = sum(area[at] for at in range(0, len(area), 4096))
    print(mark(), flush=True)
"""


class MemoryUser:
    """A process that takes memory on request and is sampled at the supervisor's rate."""

    def __init__(self) -> None:
        argv = [sys.executable, "-c", SUBJECT]
        self.process = subprocess.Popen(argv, stdin=-1, stdout=-1, text=True, bufsize=1)
        self.answer()
        self.memory = MemoryTracker(self.process.pid)
        self.memory.start_run()

    def answer(self) -> str:
        """The next line it says."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def ask(self, what: str) -> int:
        """Asks for something; its own VmHWM afterwards."""
        assert self.process.stdin is not None
        self.memory.sample(time.monotonic())
        print(what, file=self.process.stdin, flush=True)
        mark = int(self.answer())
        self.memory.end_run(time.monotonic())
        return mark

    def close(self) -> None:
        """Ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def compare(name: str, subject: MemoryUser, mark: int) -> bool:
    """Prints one comparison; whether it is within 1%."""
    peak = subject.memory.span
    assert peak.rss is not None
    off = abs(peak.rss - mark) / mark
    print(
        f"{name}: peak {peak.rss:,} ({peak.method}), its own VmHWM {mark:,}, off by {off:.3%};"
        f" highest samples: anonymous {peak.anonymous:,}, file {peak.file:,}"
    )
    return off <= 0.01


def write_weights(path: Path, size: int) -> None:
    """One tensor of zeros, laid out as safetensors."""
    tensor = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = json.dumps({"weights": tensor}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for _ in range(size >> 24):
            file.write(bytes(1 << 24))


def cost(subject: MemoryUser, samples: int = 2000) -> float:
    """Share of a core that sampling takes at the supervisor's pace."""
    began, now = time.process_time(), 0.0
    for _ in range(samples):
        now += SAMPLE_EVERY_S
        subject.memory.sample(now)
    return (time.process_time() - began) / samples / SAMPLE_EVERY_S


def main() -> int:
    """Measures and prints the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file-bytes", type=int, default=2 << 30)
    parser.add_argument("--folder", type=Path, help="where the file is to lie")
    options = parser.parse_args()
    spiky = MemoryUser()
    good = compare("25 ms spike", spiky, spiky.ask("spike 400000000"))
    share = cost(spiky)
    spiky.close()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "model.safetensors")
        write_weights(path, options.file_bytes)
        reader = MemoryUser()
        good &= compare("mapped file", reader, reader.ask(f"map {path}"))
        assert reader.memory.span.file is not None
        good &= reader.memory.span.file >= options.file_bytes
        reader.close()
    print(f"sampling: {share:.3%} of a core")
    return int(not good or share > 0.01)


if __name__ == "__main__":
    sys.exit(main())
