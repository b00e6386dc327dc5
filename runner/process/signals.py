"""Turns signals into callbacks of an event loop, through a pipe."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


@contextmanager
def signals_to_selector(
    numbers: Iterable[int], selector: selectors.BaseSelector, take: Callable[[int], None]
) -> Iterator[None]:
    """Inside the block, the selector calls `take` for each of these signals.

    A signal that was ignored at the start stays ignored, as `nohup` wants it.
    """
    wanted = {number for number in numbers if signal.getsignal(number) != signal.SIG_IGN}
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)

    def read() -> bool:
        for number in os.read(reader, 64):
            if number in wanted:
                take(number)
        return True

    selector.register(reader, selectors.EVENT_READ, read)
    wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    before = {number: signal.signal(number, lambda *_: None) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        selector.unregister(reader)
        os.close(reader)
        os.close(writer)
