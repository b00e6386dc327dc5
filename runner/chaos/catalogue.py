"""The faults that are tried, and the condition for surviving each. Definitions only.

The faults themselves are in `runner.chaos.faults`, under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .faults import PARTIAL

Where = Literal["run", "model", "supervisor"]
MEMORY_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `where` says who commits it: a run, a model while it comes or goes, or us.

    `holds` are pieces of text that columns of the job's row must hold, `limits` those of the
    sweep. `hangs` sets a short limit, which ends it; `kills` is how many processes must
    have been there to be killed, for a descendant that never came up would prove nothing.
    """

    name: str
    title: str
    expected: str
    where: Where = "run"
    phase: str | None = None
    hangs: bool = False
    quick: bool = True
    kills: int = 0
    limits: Mapping[str, Any] = field(default_factory=dict)
    holds: Mapping[str, str] = field(default_factory=dict)


def hang(name: str, title: str, **more: Any) -> Fault:
    """A fault that a limit must end."""
    return Fault(name, title, "timeout", hangs=True, **({"phase": "prefill"} | more))


def crash(name: str, title: str, message: str, **more: Any) -> Fault:
    """A fault that ends its worker."""
    return Fault(name, title, "crashed", holds={"message": message}, **more)


FAULTS = (
    hang("hang-in-python", "hang in Python"),
    hang("hang-in-native-code", "hang in native code"),
    hang(
        "hang-during-answer", "hang during an answer", phase="generate", holds={"raw_text": PARTIAL}
    ),
    hang("hang-in-load", "hang in load", phase="load", where="model"),
    Fault("hang-at-exit", "hang at exit", "ok", where="model", quick=False),
    hang("stopped", "stopped (SIGSTOP)"),
    hang("grandchild", "grandchild", kills=2),
    hang("own-session", "grandchild, own session", kills=2),
    hang("daemon", "daemon, double fork", kills=2),
    hang("bare-daemon", "daemon, no environment", kills=2),
    crash("leaked-child", "child keeps the pipes", "exit status 0"),
    crash("segfault", "segfault", "SIGSEGV"),
    crash("abort", "abort", "SIGABRT"),
    crash("killed-from-outside", "killed from outside", "SIGKILL"),
    crash("exit-without-answer", "exit 0, no answer", "exit status 0"),
    crash("torn-line", "torn last line", "exit status 0"),
    Fault("load-error", "load error", "error", where="model", holds={"message": "a package"}),
    Fault("garbage", "garbage for events", "ok", holds={"text": "fine"}),
    Fault("huge-line", "huge line", "ok", holds={"text": "fine"}),
    Fault("second-answer", "second answer", "ok", holds={"text": "the first answer"}),
    Fault("flood", "flood on stdout, stderr", "ok", holds={"text": "fine"}),
    Fault("grow-memory", "memory growth", "memory_limit", limits={"memory_bytes": MEMORY_BYTES}),
    Fault("spawn-every-descendant", "supervisor SIGKILLed", "interrupted", where="supervisor"),
)
NAMES = tuple(fault.name for fault in FAULTS)


def select_faults(quick: bool, names: tuple[str, ...] = ()) -> list[Fault]:
    """The faults to try: those named, else all, or those that cost little time."""
    if names:
        return [fault for fault in FAULTS if fault.name in names]
    return [fault for fault in FAULTS if fault.quick or not quick]
