"""The supervisor's client of the process that decodes images.

Starts `runner.image_prep.decode_worker`, sends it one request at a time with a deadline, validates
the result, and kills and replaces it when it hangs, exits or sends invalid data. Opens no image.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sysconfig
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from pydantic import TypeAdapter, ValidationError

from schemas.image import DecodeRequest, DecodeResult

from .. import own_packages

# -P: a stray json.py in the user's folder must not be imported.
COMMAND: tuple[str, ...] = own_packages.command("runner.image_prep.decode_worker")
# Not the complete environment: a decoder taken over by a hostile file must find no token in it.
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT", "PYTHONHOME", "PYTHONUTF8")
KEPT_PREFIXES = ("LC_", "LD_", "DYLD_")
START_LIMIT_S = 60.0
EXIT_WAIT_S = 0.5
MAX_ANSWER_BYTES = 64 << 10
STDERR_KEPT_BYTES = 2000

_ANSWER = TypeAdapter(DecodeResult)
_GARBAGE = "made the decoder send invalid data: the file is broken or hostile"


class DecoderError(RuntimeError):
    """The decoding subprocess can't start; no image is at fault."""


class ImageFolderError(OSError):
    """The folder for prepared images can't be written; no image is at fault."""


class DecoderLostError(Exception):
    """The decoder can't be used any more; the message completes "the image ..."."""

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


class DecodeClient:
    """One decoding subprocess at a time, started when needed and replaced when lost."""

    def __init__(self, folder: Path, memory_bytes: int) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = -1
        self._buffer = b""
        self._stderr = b""

    def __enter__(self) -> DecodeClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kill()

    def answer(self, order: DecodeRequest) -> DecodeResult:
        """Return the result of one request; a lost decoder is reported as a bad image.

        Raises DecoderError and ImageFolderError.
        """
        fresh = self._process is None
        if fresh:
            self._start()
        try:
            answer = self._ask(order)
        except DecoderLostError as lost:
            self._kill()
            if not fresh and not lost.late:  # an earlier image may have broken the decoder
                return self.answer(order)
            return DecodeResult(number=order.number, error_class="bad_image", message=str(lost))
        if answer.folder_error is not None:
            raise ImageFolderError(f"{answer.folder_error}: {self._folder}")
        if answer.retire:
            self._kill()
        return answer

    def _start(self) -> None:
        reader, writer = os.pipe()
        self._answers, self._buffer, self._stderr = reader, b"", b""
        try:
            self._process = subprocess.Popen(
                [*COMMAND, "--answers", str(writer), "--memory", str(self._memory_bytes)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(writer,),
                start_new_session=True,
                env=decoder_environment(),
            )
        except OSError as error:
            raise DecoderError(f"can't start the image decoder: {error}") from error
        finally:
            os.close(writer)
        try:
            self._line(START_LIMIT_S)
        except DecoderLostError as lost:
            self._kill()
            output = _last_line(self._stderr)
            raise DecoderError(f"the image decoder does not start: {output or lost}") from None

    def _ask(self, order: DecodeRequest) -> DecodeResult:
        assert self._process is not None
        assert self._process.stdin is not None
        try:  # a request fits into the pipe buffer, so that this never blocks
            self._process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise DecoderLostError(self._exit_message()) from None
        line = self._line(order.limit_s)
        try:
            answer = _ANSWER.validate_json(line)
        except ValidationError:
            raise DecoderLostError(_GARBAGE) from None
        if answer.number != order.number or self._buffer or not _is_valid(answer, order):
            raise DecoderLostError(_GARBAGE)
        return answer

    def _line(self, limit_s: float) -> bytes:
        """Return the next line. Raises DecoderLostError on deadline, exit or too much data."""
        assert self._process is not None
        assert self._process.stderr is not None
        deadline = time.monotonic() + limit_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            selector.register(self._process.stderr, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                if left <= 0:
                    text = f"took over {limit_s:g} s to decode: shrink it or raise the limit"
                    raise DecoderLostError(text, late=True)
                for key, _ in selector.select(left):
                    data = os.read(key.fd, 1 << 16)
                    if key.fd == self._answers:
                        self._buffer += data
                        if not data:
                            raise DecoderLostError(self._exit_message())
                        if len(self._buffer) > MAX_ANSWER_BYTES:
                            raise DecoderLostError(_GARBAGE)
                    else:
                        self._stderr = (self._stderr + data)[-STDERR_KEPT_BYTES:]
                        if not data:
                            selector.unregister(key.fileobj)
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _exit_message(self) -> str:
        """Kill and reap the decoder; return a message about its exit, without the image's name."""
        self._drain_stderr()
        status = self._kill()
        if status is None:
            how = "stopped answering"
        elif status == -signal.SIGKILL:
            how = "was killed from outside, perhaps for lack of memory"
        elif status < 0:
            with suppress(ValueError):
                status_name = signal.Signals(-status).name
                return f"crashed the decoder ({status_name}): the file is broken or hostile"
            how = f"was ended by signal {-status}"
        else:
            how = f"ended with exit status {status}"
        output = _last_line(self._stderr)
        return f"could not be decoded: the decoder {how}" + (f" ({output})" if output else "")

    def _drain_stderr(self) -> None:
        """Read stderr until its end or EXIT_WAIT_S, so that the exit status is available."""
        assert self._process is not None
        assert self._process.stderr is not None
        deadline = time.monotonic() + EXIT_WAIT_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stderr, selectors.EVENT_READ)
            while selector.select(max(0, deadline - time.monotonic())):
                data = os.read(self._process.stderr.fileno(), 1 << 16)
                self._stderr = (self._stderr + data)[-STDERR_KEPT_BYTES:]
                if not data or time.monotonic() > deadline:
                    break

    def _kill(self) -> int | None:
        """Kill the decoder's process group and reap it; return its status, None if unknown.

        A decoder that has exited keeps its status, and its pid can't be reused, because it is
        reaped only here.
        """
        process, self._process = self._process, None
        if self._answers >= 0:
            os.close(self._answers)
            self._answers = -1
        if process is None:
            return None
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stderr):
            with suppress(OSError):
                if stream is not None:
                    stream.close()
        with suppress(
            subprocess.TimeoutExpired
        ):  # a process in a hung file system cannot be killed
            process.wait(timeout=5)
        for orphan in self._folder.glob(f"*/.*.{process.pid}.tmp"):
            with suppress(OSError):
                orphan.unlink()
        return process.returncode


def _is_valid(answer: DecodeResult, order: DecodeRequest) -> bool:
    """Return True if a result is an error with a message, or a complete prepared image."""
    if answer.folder_error is not None:
        return True
    if answer.error_class is not None:
        return answer.message is not None and not _digests(answer)
    complete = all(len(d) == 64 and not set(d) - set("0123456789abcdef") for d in _digests(answer))
    frames, times = answer.frame_sha256s, answer.frame_times_s
    if order.max_frames is None:
        as_requested = not frames and not times
    else:
        as_requested = 0 < len(frames) == len(times) <= order.max_frames
        as_requested = as_requested and answer.duration_s is not None
    made = answer.prepared_sha256 and answer.prepared_width and answer.prepared_height
    return complete and as_requested and bool(made)


def _digests(answer: DecodeResult) -> list[str]:
    first = answer.prepared_sha256
    return [*([] if first is None else [first]), *answer.frame_sha256s]


def decoder_environment() -> dict[str, str]:
    """Return the environment variables of a process that reads untrusted files."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or name.startswith(KEPT_PREFIXES)
    }
    here = str(Path(__file__).resolve().parents[2])
    if here != sysconfig.get_path("purelib"):  # there it would come before the standard library
        kept["PYTHONPATH"] = here
    return kept


def _last_line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return printable(lines[-1][:200]) if lines else ""


def printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in text)
