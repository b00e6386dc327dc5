"""The generation settings, shared by the sweep file, the commands and the engines."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """Settings of text generation. Greedy by default, so that a run can be repeated.

    `temperature`, `top_p`, `top_k` and `seed` mean something only with `do_sample`.
    None leaves the choice to the engine's own default.
    """

    max_new_tokens: int = 100
    do_sample: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
