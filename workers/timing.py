"""The one place that defines every duration, rate and count, for all engines alike.

An engine calls a `Meter` at each step; the meter reads the clock, sends
`first_token` and `text` events, and works the figures out. It knows no model library.

Definitions (seconds by a monotonic clock, from the moment the answer was taken up):

- `preprocess_s`: until the model's inputs are ready on its device
- `ttft_s`: until the first token that shows visible (non-blank, non-special) text
- `latency_s`: until the text is complete
- `prompt_tps`: input tokens / (first generated token of any kind - end of preprocessing)
- `generation_tps`: (output tokens - 1) / (last token - first token); None for one token
- `output_tokens`: generated tokens, the end token included

If the model runs in another process, token counts are those it reports (else they
are None), pieces may hold several of them, and preparing inputs there counts as its prompt's.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from schemas.events import Event, FirstToken, ServerState, Text, Waiting, WorkerPhase

from .error_classes import WorkerFailure

Clock = Callable[[], float]
EventSink = Callable[[Event], None]

TEXT_EVERY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMetrics:
    """One answer's measures; see the module's docstring for each."""

    latency_s: float
    preprocess_s: float
    ttft_s: float | None
    input_tokens: int | None
    image_tokens: int | None
    image_tiles: int | None
    output_tokens: int | None
    prompt_tps: float | None
    generation_tps: float | None


class LoadClock:
    """Times a load and its parts: `with clock.part("weights"): ...`."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._parts: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time spent inside to part `name` ("import", "weights" or "processor")."""
        start = self._clock()
        try:
            yield
        finally:
            self._parts[name] = self._parts.get(name, 0.0) + self._clock() - start

    def figures(self) -> dict[str, float]:
        """`load_s` and `<part>_s`, as the `loaded` event names them."""
        parts = {f"{name}_s": seconds for name, seconds in self._parts.items()}
        return {"load_s": self._clock() - self._start, **parts}


class RunTimer:
    """Times one answer. Calls come in order: `preprocessed`, `token`..., `finish`.

    Where tokens are counted elsewhere: `ended`, `counted` and `produced` before `finish`.

    `images` is how many images the conversation holds; `silent` meters an answer that is not
    the run's last (no events for it); `enter` is called with each phase.
    """

    def __init__(
        self,
        *,
        run: int,
        images: int,
        emit: EventSink,
        enter: Callable[[WorkerPhase], None] = lambda phase: None,
        clock: Clock = time.monotonic,
        silent: bool = False,
    ) -> None:
        self._run, self._images, self._silent = run, images, silent
        self._emit, self._enter, self._clock = emit, enter, clock
        self._lock = threading.Lock()  # of the text not yet sent: the heartbeat sends it too
        self.waited_s: float | None = None
        self._start = clock()
        self._ready: float | None = None
        self._first: float | None = None
        self._last: float | None = None
        self._visible: float | None = None
        self._ended: float | None = None
        self._input_tokens: int | None = None
        self._output_tokens: int | None = 0
        self._image_tokens: int | None = None
        self._tiles: int | None = None
        self._sent, self._pending, self._sent_at = "", "", self._start
        enter("prefill")

    def mark_inputs_ready(
        self, input_tokens: int | None, image_tokens: int | None = None, tiles: int | None = None
    ) -> None:
        """The model's inputs are ready. A count is None if not known (yet).

        Raises `image_ignored` if images were given and no token represents them: an
        answer that never looked must not pass for one.
        """
        self._ready = self._clock()
        self.set_token_counts(input_tokens, image_tokens, tiles)

    def set_token_counts(
        self, input_tokens: int | None, image_tokens: int | None = None, tiles: int | None = None
    ) -> None:
        """Replace the counts, for models that report them only while or after generating.

        Raises `image_ignored` as `preprocessed` does.
        """
        self._input_tokens, self._image_tokens, self._tiles = input_tokens, image_tokens, tiles
        if self._images and image_tokens == 0:
            raise WorkerFailure(
                "image_ignored",
                f"{self._images} image(s) given, but none of the {input_tokens} input tokens "
                "represents an image: the model would answer without looking",
                "Check that the model's chat template has image slots.",
            )

    def token(self, piece: str, n: int | None = 1, visible: bool | None = None) -> None:
        """`n` more tokens exist (None: not known how many; see `produced`); `piece` is the raw
        text they completed, perhaps none.

        `visible` says whether the piece shows text; None takes any non-blank piece for it.
        """
        now = self._clock()
        if n is None or self._output_tokens is None:
            self._output_tokens = None
        else:
            self._output_tokens += n
        self._last = now
        if self._first is None:
            self._first = now
            self._enter("generate")
        if self._visible is None and (bool(piece.strip()) if visible is None else visible):
            self._visible = now
            self._send_first_token(now)
        with self._lock:
            self._pending += piece
            if now - self._sent_at >= TEXT_EVERY_S:
                self._send_text(now)

    def flush(self) -> None:
        """Send the text that is not sent yet. Any thread may call it."""
        with self._lock:
            self._send_text(self._clock())

    def wait_for_server(
        self, server_state: ServerState, reason: str, attempt: int, retry_in_s: float
    ) -> None:
        """The model's server cannot answer now; `restart` follows when the request is repeated."""
        self._enter("waiting")
        self._emit(
            Waiting(
                run=self._run,
                server_state=server_state,
                reason=reason,
                attempt=attempt,
                retry_in_s=retry_in_s,
                waited_s=self.waited_s or 0.0,
            )
        )

    def add_wait(self, seconds: float) -> None:
        """Count `seconds` that were spent waiting for the server."""
        self.waited_s = (self.waited_s or 0.0) + seconds

    def restart(self) -> None:
        """The request is sent again: the figures are those of the request that is answered."""
        ready = None if self._ready is None else self._ready - self._start
        self._start = self._clock()
        self._ready = None if ready is None else self._start + ready
        self._enter("prefill")

    def ended(self) -> None:
        """The text is complete; the time from here to `finish` is not measured."""
        self._ended = self._clock()
        self.flush()

    def set_output_tokens(self, output_tokens: int | None) -> None:
        """Set the total number of output tokens, as counted by the engine or server."""
        self._output_tokens = output_tokens

    def finish(self, raw_text: str) -> RunMetrics:
        """The text is complete: send the remaining text and compute the metrics."""
        now = self._clock() if self._ended is None else self._ended
        with self._lock:
            streamed = self._sent + self._pending
            if raw_text.startswith(streamed):
                self._pending += raw_text[len(streamed) :]
            self._send_text(now)
        ready = self._ready if self._ready is not None else now
        return RunMetrics(
            latency_s=now - self._start,
            preprocess_s=ready - self._start,
            ttft_s=None if self._visible is None else self._visible - self._start,
            input_tokens=self._input_tokens,
            image_tokens=self._image_tokens,
            image_tiles=self._tiles,
            output_tokens=self._output_tokens,
            prompt_tps=_rate(self._input_tokens, ready, self._first),
            generation_tps=_rate(self._output_tokens, self._first, self._last, but=1),
        )

    def _send_first_token(self, now: float) -> None:
        if self._silent:
            return
        ready = self._ready if self._ready is not None else now
        self._emit(
            FirstToken(
                run=self._run,
                ttft_s=now - self._start,
                preprocess_s=ready - self._start,
                input_tokens=self._input_tokens,
                image_tokens=self._image_tokens,
            )
        )

    def _send_text(self, now: float) -> None:
        if self._pending and not self._silent:
            text = Text(run=self._run, text=self._pending, output_tokens=self._output_tokens)
            self._emit(text)
        self._sent, self._pending, self._sent_at = self._sent + self._pending, "", now


def _rate(count: int | None, start: float | None, end: float | None, but: int = 0) -> float | None:
    if count is None or start is None or end is None or count <= but or end <= start:
        return None
    return (count - but) / (end - start)
