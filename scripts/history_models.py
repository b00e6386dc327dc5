"""Synthetic models: seconds, bytes, tokens per second, failures.

Only `make_history.py` uses it.
"""

from __future__ import annotations

from dataclasses import dataclass

LIMITS = {"load": "load_s", "prefill": "first_token_s", "generate": "silence_s"}


@dataclass(frozen=True)
class Kind:
    """A synthetic model: seconds, bytes, tokens per second, shares of 1."""

    name: str
    load_s: float
    tps: float
    weights: int
    fails: float


KINDS = tuple(
    Kind(f"example/{name}", load_s, tps, int(weights * 1e9), fails)
    for name, load_s, tps, weights, fails in (
        ("SmolVLM2-256M", 1.8, 160, 0.5, 0.01),
        ("SmolVLM2-500M", 2.6, 120, 1.0, 0.01),
        ("SmolVLM2-2.2B", 6.1, 55, 4.5, 0.02),
        ("moondream2", 5.0, 62, 3.9, 0.03),
        ("llava-1.5-7b", 19.0, 21, 14.1, 0.04),
        ("llava-1.6-mistral-7b", 21.0, 19, 15.1, 0.06),
        ("Phi-3.5-vision", 14.0, 30, 8.3, 0.12),
        ("Qwen2.5-VL-3B", 8.2, 48, 7.5, 0.02),
        ("Qwen2.5-VL-7B", 17.5, 24, 16.6, 0.05),
        ("gemma-3-4b", 9.5, 41, 8.6, 0.03),
        ("gemma-3-12b", 31.0, 12, 24.4, 0.2),
        ("paligemma2-3b", 7.7, 50, 6.1, 0.02),
        ("InternVL3-2B", 6.4, 52, 4.2, 0.04),
        ("InternVL3-8B", 18.2, 22, 15.9, 0.09),
        ("broken-checkpoint", 0.0, 1, 2.0, 1.0),
        ("Florence-2-large", 3.1, 90, 1.6, 0.02),
    )
)


def failure_columns(outcome: str, phase: str, kind: Kind) -> tuple[str | None, ...]:
    """Returns phase, class, message, hint and traceback of a failure."""
    stack = f'File "/home/ann/venv/lib/python3.12/site-packages/{kind.name}.py", line 1\n' * 8
    if outcome == "error":
        return phase, "ValueError", "the weights do not fit the config", "fetch it again", stack
    if outcome == "timeout":
        limit = LIMITS[phase]
        return phase, limit, f"no first token within 180 s ({limit})", None, stack
    if outcome == "crashed":
        return phase, "SIGSEGV", f"the worker died of a signal in {phase}", None, None
    return phase, "memory_bytes", "took 16.2 GB, the limit is 16 GB", "a smaller dtype", None
