"""Memory from outside, of processes that really take it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from runner.supervisor.memory_tracker import MemoryTracker
from runner.system import host

pytestmark = pytest.mark.serial

MB = 1_000_000
HOARDER = """
import mmap, subprocess, sys
hoard, children = [], []
print("ready", flush=True)
for line in sys.stdin:
    what, size = line.split()
    size = int(size)
    if what == "keep":
        hoard.append(bytearray(b"x") * size)
    elif what == "spike":
        bytearray(b"x") * size
    elif what == "map":
        area = mmap.mmap(-1, size)
        area.write(b"x" * size)
        hoard.append(area)
    elif what == "child":
        code = f"x = bytearray(b'x') * {size}; print('up', flush=True); input()"
        child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        child.stdout.readline()
        children.append(child)
    print("done", flush=True)
"""


@pytest.fixture
def hoarder() -> Iterator[tuple[int, Callable[[str, int], None]]]:
    """Starts a process that allocates memory on request; returns its pid and a request function."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOARDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    process.stdout.readline()

    def ask(what: str, size: int) -> None:
        assert process.stdin
        assert process.stdout
        process.stdin.write(f"{what} {size}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"

    yield process.pid, ask
    process.stdin.close()
    process.wait()
    process.stdout.close()


def test_memory_of_the_whole_process_tree_is_counted(hoarder) -> None:
    pid, ask = hoarder
    memory = MemoryTracker(pid)
    before = memory.sample(0)
    ask("child", 200 * MB)
    after = memory.sample(10)
    assert before
    assert after
    assert after.rss - before.rss > 200 * MB
    assert memory.total.rss == after.rss


@pytest.mark.skipif(not host.LINUX, reason="the kernel's mark is read on Linux")
def test_spike_between_two_samples_is_measured(hoarder) -> None:
    pid, ask = hoarder
    memory = MemoryTracker(pid)
    memory.start_run()
    ask("spike", 300 * MB)
    sample = memory.sample(1)
    assert sample
    assert sample.rss < 150 * MB
    peak = memory.end_run(2)
    assert peak.rss
    assert 300 * MB < peak.rss < 350 * MB
    assert peak.method == "VmHWM"


@pytest.mark.skipif(not host.LINUX, reason="the kernel's mark can be reset on Linux only")
def test_each_run_has_its_own_peak(hoarder) -> None:
    pid, ask = hoarder
    memory = MemoryTracker(pid)
    memory.start_run()
    ask("spike", 300 * MB)
    first = memory.end_run(1).rss
    memory.start_run()
    ask("spike", 50 * MB)
    second = memory.end_run(2).rss
    assert first
    assert second
    assert second < 150 * MB < first
    assert memory.total.rss == first


@pytest.mark.skipif(not host.LINUX, reason="Linux tells files from the rest")
def test_file_backed_memory_is_reported_separately(hoarder) -> None:
    pid, ask = hoarder
    memory = MemoryTracker(pid)
    before = memory.sample(0)
    ask("map", 100 * MB)
    after = memory.sample(1)
    assert before
    assert after
    assert after.file - before.file >= 100 * MB
    assert after.anonymous - before.anonymous < 20 * MB


def test_exited_process_has_no_memory() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    memory = MemoryTracker(process.pid)
    assert memory.sample(0) is None
    assert memory.end_run(0).rss is None
