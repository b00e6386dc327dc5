"""Room for several workers: by count, memory and devices."""

from __future__ import annotations

from runner.database.estimates import Estimate
from runner.work.terms import LIBRARIES, Room, Terms

SMALL, BIG, UNKNOWN = Estimate(peak_rss_bytes=100), Estimate(peak_rss_bytes=900), Estimate()


def test_one_at_a_time_unless_more_are_allowed() -> None:
    room = Room(Terms())
    grant = room.ask(BIG, "auto", "auto")
    assert grant is not None
    assert room.ask(SMALL, "auto", "auto") is None
    room.give_back(grant)
    assert room.ask(SMALL, "auto", "auto") is not None


def test_memory_is_shared_out_and_given_back() -> None:
    room = Room(Terms(workers=3, memory_bytes=1000))
    first = room.ask(BIG, "cpu", "auto")
    assert first is not None
    assert room.ask(SMALL, "cpu", "auto") is not None
    assert room.ask(SMALL, "cpu", "auto") is None
    room.give_back(first)
    assert room.ask(SMALL, "cpu", "auto") is not None


def test_who_is_not_known_works_alone() -> None:
    room = Room(Terms(workers=2, memory_bytes=1000))
    first = room.ask(UNKNOWN, "cpu", "auto")
    assert first is not None
    assert room.ask(SMALL, "cpu", "auto") is None
    room.give_back(first)
    assert room.ask(SMALL, "cpu", "auto") is not None
    assert room.ask(UNKNOWN, "cpu", "auto") is None


def test_too_big_for_the_budget_still_gets_its_turn_alone() -> None:
    assert Room(Terms(workers=2, memory_bytes=10)).ask(BIG, "cpu", "auto") is not None


def test_weights_stand_in_for_a_peak_that_is_not_known() -> None:
    room = Room(Terms(workers=2, memory_bytes=LIBRARIES * 2 + 1000))
    assert room.ask(Estimate(weights_bytes=100), "cpu", "auto") is not None
    assert room.ask(Estimate(weights_bytes=600), "cpu", "auto") is None
    assert room.ask(Estimate(weights_bytes=500), "cpu", "auto") is not None


def test_each_device_has_one_worker() -> None:
    room = Room(Terms(workers=4, devices=("0", "GPU-b")))
    first, second = room.ask(SMALL, "auto", "auto"), room.ask(SMALL, "cuda", "transformers")
    assert first is not None
    assert second is not None
    assert (first.env, second.env) == (
        {"CUDA_VISIBLE_DEVICES": "0"},
        {"CUDA_VISIBLE_DEVICES": "GPU-b"},
    )
    assert room.ask(SMALL, "auto", "auto") is None
    cpu = room.ask(SMALL, "cpu", "auto")
    assert cpu is not None
    assert cpu.env == {}
    room.give_back(first)
    again = room.ask(SMALL, "auto", "auto")
    assert again is not None
    assert again.device == "0"


def test_a_server_takes_no_memory_here_and_no_device() -> None:
    room = Room(Terms(workers=3, memory_bytes=1000, devices=("0",)))
    assert room.ask(BIG, "auto", "auto") is not None
    server = room.ask(UNKNOWN, "auto", "openai")
    assert server is not None
    assert (server.memory_bytes, server.device) == (0, None)


def test_alone_a_worker_sees_every_device() -> None:
    grant = Room(Terms(devices=("0", "1"))).ask(SMALL, "auto", "auto")
    assert grant is not None
    assert grant.env == {}


def test_a_device_that_a_sweep_names_is_nobody_elses_meanwhile() -> None:
    room = Room(Terms(workers=4, devices=("0", "1")))
    named = room.ask(SMALL, "cuda:0", "auto")
    assert named is not None
    assert named.env == {}
    second = room.ask(SMALL, "auto", "auto")
    assert second is not None
    assert second.device == "1"
    assert room.ask(SMALL, "cuda:1", "auto") is None
    assert room.ask(SMALL, "cuda:0", "auto") is None
    room.give_back(named)
    assert room.ask(SMALL, "cuda:0", "auto") is not None
