"""Room for several workers: by count, memory and devices."""

from __future__ import annotations

from runner.database.estimates import Estimate
from runner.supervisor.resources import LIBRARIES, ResourceAllocator, SupervisorLimits

SMALL, BIG, UNKNOWN = Estimate(peak_rss_bytes=100), Estimate(peak_rss_bytes=900), Estimate()


def test_one_worker_at_a_time_by_default() -> None:
    room = ResourceAllocator(SupervisorLimits())
    grant = room.allocate(BIG, "auto", "auto")
    assert grant is not None
    assert room.allocate(SMALL, "auto", "auto") is None
    room.release(grant)
    assert room.allocate(SMALL, "auto", "auto") is not None


def test_memory_budget_is_reserved_and_released() -> None:
    room = ResourceAllocator(SupervisorLimits(workers=3, memory_bytes=1000))
    first = room.allocate(BIG, "cpu", "auto")
    assert first is not None
    assert room.allocate(SMALL, "cpu", "auto") is not None
    assert room.allocate(SMALL, "cpu", "auto") is None
    room.release(first)
    assert room.allocate(SMALL, "cpu", "auto") is not None


def test_model_of_unknown_size_runs_alone() -> None:
    room = ResourceAllocator(SupervisorLimits(workers=2, memory_bytes=1000))
    first = room.allocate(UNKNOWN, "cpu", "auto")
    assert first is not None
    assert room.allocate(SMALL, "cpu", "auto") is None
    room.release(first)
    assert room.allocate(SMALL, "cpu", "auto") is not None
    assert room.allocate(UNKNOWN, "cpu", "auto") is None


def test_model_larger_than_the_budget_runs_alone() -> None:
    assert (
        ResourceAllocator(SupervisorLimits(workers=2, memory_bytes=10)).allocate(BIG, "cpu", "auto")
        is not None
    )


def test_unknown_peak_is_estimated_from_the_weights() -> None:
    room = ResourceAllocator(SupervisorLimits(workers=2, memory_bytes=LIBRARIES * 2 + 1000))
    assert room.allocate(Estimate(weights_bytes=100), "cpu", "auto") is not None
    assert room.allocate(Estimate(weights_bytes=600), "cpu", "auto") is None
    assert room.allocate(Estimate(weights_bytes=500), "cpu", "auto") is not None


def test_each_device_has_one_worker() -> None:
    room = ResourceAllocator(SupervisorLimits(workers=4, devices=("0", "GPU-b")))
    first, second = (
        room.allocate(SMALL, "auto", "auto"),
        room.allocate(SMALL, "cuda", "transformers"),
    )
    assert first is not None
    assert second is not None
    assert (first.env, second.env) == (
        {"CUDA_VISIBLE_DEVICES": "0"},
        {"CUDA_VISIBLE_DEVICES": "GPU-b"},
    )
    assert room.allocate(SMALL, "auto", "auto") is None
    cpu = room.allocate(SMALL, "cpu", "auto")
    assert cpu is not None
    assert cpu.env == {}
    room.release(first)
    again = room.allocate(SMALL, "auto", "auto")
    assert again is not None
    assert again.device == "0"


def test_server_model_reserves_no_memory_and_no_device() -> None:
    room = ResourceAllocator(SupervisorLimits(workers=3, memory_bytes=1000, devices=("0",)))
    assert room.allocate(BIG, "auto", "auto") is not None
    server = room.allocate(UNKNOWN, "auto", "openai")
    assert server is not None
    assert (server.memory_bytes, server.device) == (0, None)


def test_single_worker_sees_every_device() -> None:
    grant = ResourceAllocator(SupervisorLimits(devices=("0", "1"))).allocate(SMALL, "auto", "auto")
    assert grant is not None
    assert grant.env == {}


def test_device_named_by_a_sweep_is_reserved() -> None:
    room = ResourceAllocator(SupervisorLimits(workers=4, devices=("0", "1")))
    named = room.allocate(SMALL, "cuda:0", "auto")
    assert named is not None
    assert named.env == {}
    second = room.allocate(SMALL, "auto", "auto")
    assert second is not None
    assert second.device == "1"
    assert room.allocate(SMALL, "cuda:1", "auto") is None
    assert room.allocate(SMALL, "cuda:0", "auto") is None
    room.release(named)
    assert room.allocate(SMALL, "cuda:0", "auto") is not None
