"""System counters, read from simulated files and clocks."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from runner.system import counters, host
from schemas.shared import cgroups

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A made-up system's files; returns how to write one."""
    monkeypatch.setattr(host, "LINUX", True)
    monkeypatch.setattr(counters, "LINUX", True)
    monkeypatch.setattr(counters, "MACOS", False)
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(cgroups, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(counters, "VMSTAT", tmp_path / "vmstat")
    monkeypatch.setattr(counters, "PRESSURE", tmp_path / "pressure")
    monkeypatch.setattr(counters, "PROCESSORS", tmp_path / "cpus")
    counters.thermal_throttle_files.cache_clear()

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    yield write
    counters.thermal_throttle_files.cache_clear()


def test_missing_counters_are_unknown(system) -> None:
    assert counters.swapped_bytes() is None
    assert counters.throttled_s() is None
    assert counters.thermal_throttle_count() is None
    assert counters.memory_stalled_s() is None


def test_swap_counts_both_directions(system) -> None:
    system("vmstat", "nr_free 5\npswpin 3\npswpout 4\n")
    assert counters.swapped_bytes() == 7 * PAGE


def test_cpu_quota_of_own_and_parent_cgroups_is_counted(system) -> None:
    system("own", "0::/a/b\n")
    system("cgroup/cpu.stat", "usage_usec 9\n")
    system("cgroup/a/cpu.stat", "usage_usec 9\nthrottled_usec 1500000\n")
    system("cgroup/a/b/cpu.stat", "usage_usec 9\nthrottled_usec 500000\n")
    assert counters.throttled_s() == 2.0


def test_cpu_quota_of_cgroup_v1_is_counted(system) -> None:
    system("own", "3:cpu,cpuacct:/docker/x\n2:memory:/docker/x\n")
    system("cgroup/cpu,cpuacct/cpu.stat", "nr_throttled 2\nthrottled_time 250000000\n")
    assert counters.throttled_s() == 0.25


def test_thermal_throttles_are_summed_over_processors(system) -> None:
    for number, count in enumerate((3, 0, 4)):
        system(f"cpus/cpu{number}/thermal_throttle/core_throttle_count", f"{count}\n")
    system("cpus/cpufreq/thermal_throttle/core_throttle_count", "100\n")
    assert counters.thermal_throttle_count() == 7


def test_cgroup_memory_pressure_is_preferred_to_machine_pressure(system) -> None:
    system("pressure", "some avg10=0.00 avg60=0.00 avg300=0.00 total=7000000\nfull total=1\n")
    assert counters.memory_stalled_s() == 7.0
    system("own", "0::/a\n")
    system("cgroup/a/memory.pressure", "some avg10=0.00 total=2500000\nfull avg10=0 total=9\n")
    assert counters.memory_stalled_s() == 2.5


def test_sleep_is_the_difference_of_two_clocks(system, monkeypatch) -> None:
    clocks = {time.CLOCK_MONOTONIC: 100.0, time.CLOCK_BOOTTIME: 3700.0}
    monkeypatch.setattr(time, "clock_gettime", clocks.__getitem__)
    assert counters.slept_s() == 3600


def test_interrupted_reading_is_repeated(monkeypatch) -> None:
    # awake, through, awake: first with a second in between, then at once
    read = iter([10.0, 511.0, 511.0, 12.0, 12.0, 12.0])
    monkeypatch.setattr(time, "clock_gettime", lambda _: next(read))
    assert counters.clock_offset(1, 2) == 0


@pytest.mark.skipif(not host.LINUX, reason="Linux's own files")
def test_this_machine_reports_values() -> None:
    slept = counters.slept_s()
    assert slept is not None
    assert slept > -0.001
    assert counters.swapped_bytes() is not None
