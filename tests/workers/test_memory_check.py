"""The memory check on simulated system files; engine cases are in test_broken_environment.py."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from schemas.commands import Load
from schemas.shared import cgroups
from workers import memory_check
from workers.checkpoint import Checkpoint, read_checkpoint
from workers.error_classes import WorkerFailure
from workers.memory_check import FreeMemory, check_memory, own_dtype, weights_bytes

ASK = Load(model="m", local=True)
WEIGHTS = "model.safetensors"


def checkpoint(**types: int) -> Checkpoint:
    """One file of weights, bytes by type."""
    return Checkpoint(
        folder=Path("m"), config={}, weights={WEIGHTS: sum(types.values())}, types={WEIGHTS: types}
    )


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """A made-up system: 1,000,000 kB free, and a process of 10 pages mapped, 5 in memory."""
    monkeypatch.setattr(memory_check, "MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory_check, "STATM", tmp_path / "statm")
    monkeypatch.setattr(cgroups, "OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(cgroups, "ROOT", tmp_path / "groups")
    nothing = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: nothing)

    def write(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    write("meminfo", "MemTotal: 9000000 kB\nMemAvailable:    1000000 kB\nHugePages_Total: 0\n")
    write("statm", "10 5 3 1 0 2 0\n")
    return write


def refusal(needed: int, *, free: FreeMemory | None = None, limit: int | None = None) -> str:
    """Reason for refusing float32 weights of this size; "" if accepted."""
    ask = Load(model="m", local=True, memory_bytes=limit)
    try:
        check_memory(checkpoint(F32=needed), ask, "float32", free, host=True)
    except WorkerFailure as failure:
        return f"{failure.error_class}: {failure.message}"
    return ""


def test_weights_are_counted_in_the_target_dtype(tmp_path: Path) -> None:
    assert weights_bytes(checkpoint(F32=400), "bfloat16") == 200
    assert weights_bytes(checkpoint(BF16=200), "float32") == 400
    assert weights_bytes(checkpoint(BF16=200, F32=40), "float16") == 220


def test_quantised_weights_keep_their_size() -> None:
    packed = checkpoint(U32=1000, F16=100)
    assert weights_bytes(packed, "float32") == 1200
    assert weights_bytes(packed, "bfloat16") == 1100
    assert weights_bytes(checkpoint(F8_E4M3=50), "float32") == 50
    assert own_dtype(packed) == "float16"


def test_pickle_is_counted_as_float32() -> None:
    pickle = Checkpoint(folder=Path("m"), config={}, weights={"pytorch_model.bin": 400})
    assert weights_bytes(pickle, "float32") == 400
    assert weights_bytes(pickle, "float16") == 200


def test_duplicate_weight_files_are_counted_once() -> None:
    sizes = {WEIGHTS: 10, "consolidated.safetensors": 10, "model-old.safetensors": 10}
    types = {name: {"F32": size} for name, size in sizes.items()}
    both = Checkpoint(folder=Path("m"), config={}, weights=sizes, types=types)
    assert weights_bytes(both, "float32") == 10
    del sizes[WEIGHTS]
    assert weights_bytes(both, "float32") == 10


def test_dtypes_are_read_from_a_real_checkpoint() -> None:
    demo = read_checkpoint(Path(memory_check.__file__).with_name("demo_model"))
    (types,) = demo.types.values()
    stored = sum(types.values())
    assert demo.weights[WEIGHTS] - 100_000 < stored < demo.weights[WEIGHTS]
    assert weights_bytes(demo, own_dtype(demo)) == stored


def test_free_machine_memory_limits_a_load(system) -> None:
    assert not refusal(1_024_000_000)
    output = refusal(1_024_000_001)
    assert output.startswith(
        "too_large: The weights take 1,024,000,001 bytes in float32, and 1,024,"
    )


def test_cgroup_and_parent_limits_apply(system) -> None:
    system("own", "1:cpu:/\n0::/a/b\n")
    for folder, limit, usage in (("a", "5000", "3000"), ("a/b", "max", "10")):
        system(f"groups/{folder}/memory.max", f"{limit}\n")
        system(f"groups/{folder}/memory.current", f"{usage}\n")
        # file cache is freed when memory is needed
        system(f"groups/{folder}/memory.stat", "anon 9\nactive_file 100\ninactive_file 200\n")
    assert not refusal(2300)
    assert "2,300 are left to this container" in refusal(2301)


def test_cgroup_v1_limit_applies(system) -> None:
    system("own", "4:memory:/docker/x\n")
    system("groups/memory/memory.limit_in_bytes", "5000\n")
    system("groups/memory/memory.usage_in_bytes", "4000\n")
    system("groups/memory/memory.stat", "active_file 1\ntotal_active_file 500\n")
    assert not refusal(1500)
    assert "1,500 are left to this container" in refusal(1501)


def test_address_space_limit_applies(system, monkeypatch) -> None:
    limit = 10 * memory_check.PAGE + 700
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    assert not refusal(700)
    assert "700 are left to this process (RLIMIT_AS)" in refusal(701)


def test_sweep_memory_limit_applies(system) -> None:
    limit = 5 * memory_check.PAGE + 700
    assert not refusal(700, limit=limit)
    assert "700 are left of the sweep's memory_bytes" in refusal(701, limit=limit)
    assert "and 0 are left of the sweep's" in refusal(1, limit=3)


def test_free_device_memory_limits_a_load(system) -> None:
    assert "50 are free on cuda:0" in refusal(51, free=FreeMemory(50, "free on cuda:0"))


def test_weights_loaded_to_a_device_need_no_main_memory(system) -> None:
    roomy = FreeMemory(10**12, "free on cuda:0")
    check_memory(checkpoint(F32=10**11), ASK, "float32", roomy, host=False)
    with pytest.raises(WorkerFailure, match="free on this machine"):
        check_memory(checkpoint(F32=10**11), ASK, "float32", roomy, host=True)


def test_allow_oversize_skips_the_check(system) -> None:
    ask = Load(model="m", local=True, allow_oversize=True, memory_bytes=1)
    check_memory(checkpoint(F32=10**15), ask, "float32", FreeMemory(1, "free"), host=True)


def test_this_machine_reports_values() -> None:
    rooms = list(memory_check.host_limits(None))
    assert rooms[0].where == "free on this machine"
    assert all(each.bytes > 10_000_000 for each in rooms)
