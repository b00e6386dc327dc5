"""The subprocess that decodes images: only here do image libraries read untrusted files.

`python -m runner.image_prep.decode_worker --answers FD --memory BYTES` reads `DecodeRequest` lines
from
standard input and writes `DecodeResult` lines to FD; output of libraries goes elsewhere and can't
corrupt them. It imports the standard library, Pillow and PyAV only, the latter two when first
needed. It limits its memory and, in case its parent has exited, its time; deadlines, kills and
restarts are in `runner.image_prep.decode_client`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import warnings
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from schemas.image import DecodeRequest, DecodeResult, ImageFacts, Kind

from . import cache, pixels, video
from .open_source import UnusableImageError, hash_source, open_source

if TYPE_CHECKING:
    from PIL.Image import Image


def _folder(order: DecodeRequest) -> Path:
    return Path(os.fsdecode(bytes.fromhex(order.folder)))


def _cached_facts(facts: ImageFacts, order: DecodeRequest) -> ImageFacts | None:
    source = str(facts.source_sha256)
    known = cache.load_cached(_folder(order), source, order.max_side, order.max_frames)
    small = known and (known.width or 0) * (known.height or 0) <= order.max_pixels
    return known if small else None


def _store_image(
    file: IO[bytes], stamp: int, facts: ImageFacts, image: Image, order: DecodeRequest
) -> ImageFacts:
    folder = _folder(order)
    facts, image = pixels.decode(file, facts, image, order)
    _check_unchanged(file, stamp)
    digest, size = _write_png(folder, image)
    facts = replace(facts, prepared_sha256=digest)
    facts = replace(facts, prepared_width=image.width, prepared_height=image.height)
    cache.save_cached(folder, facts, order.max_side, [size])
    return facts


def _store_frames(
    file: IO[bytes], stamp: int, facts: ImageFacts, order: DecodeRequest
) -> ImageFacts:
    folder = _folder(order)
    digests: list[str] = []
    sizes: list[int] = []
    times: list[float] = []
    facts, frames = video.read_video(file, facts, order)
    for time_s, image in frames:  # one at a time: all of them may not fit into the memory
        digest, size = _write_png(folder, image)
        if not digests:
            facts = replace(facts, prepared_sha256=digest)
            facts = replace(facts, prepared_width=image.width, prepared_height=image.height)
        digests.append(digest)
        sizes.append(size)
        times.append(time_s)
    _check_unchanged(file, stamp)
    facts = replace(facts, frame_sha256s=tuple(digests), frame_times_s=tuple(times))
    cache.save_cached(folder, facts, order.max_side, sizes)
    return facts


def _check_unchanged(file: IO[bytes], stamp: int) -> None:
    if os.fstat(file.fileno()).st_mtime_ns != stamp:  # the hash may be of other bytes
        raise UnusableImageError(
            "bad_image", "changed while it was read: try again when it is complete"
        )


def _write_png(folder: Path, image: Image) -> tuple[str, int]:
    digest = pixels.hash_pixels(image)
    path = cache.image_path(folder, digest)
    return digest, cache.write_cache_file(
        path, lambda png: image.save(png, "PNG", compress_level=1)
    )


def serve(order: DecodeRequest) -> DecodeResult:
    """Execute one request. Never raises for a bad image or folder."""
    kind: Kind = "image" if order.max_frames is None else "video"
    facts, retire = ImageFacts(kind=kind, max_frames=order.max_frames), False
    try:
        with open_source(bytes.fromhex(order.path)) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those about metadata become notes
            found = os.fstat(file.fileno())
            facts = replace(facts, source_bytes=found.st_size)
            facts = replace(facts, source_sha256=hash_source(file))
            if known := _cached_facts(facts, order):
                facts = known
            elif kind == "video":
                facts = _store_frames(file, found.st_mtime_ns, facts, order)
            else:
                facts, image = pixels.read_header(file, facts, order)
                facts = _store_image(file, found.st_mtime_ns, facts, image, order)
    except cache.CacheFolderError as error:
        return DecodeResult(number=order.number, folder_error=str(error))
    except UnusableImageError as error:
        facts = replace(facts, error_class=error.error_class, message=str(error), notes=())
    except MemoryError:
        text = "needs more memory to decode than the limit allows: shrink it or raise the limit"
        facts, retire = replace(facts, error_class="bad_image", message=text, notes=()), True
    except Exception as error:
        text = f"is broken or cut off ({type(error).__name__}: {error}): fetch or export it again"
        facts = replace(facts, error_class="bad_image", message=text[:500], notes=())
    return DecodeResult(number=order.number, retire=retire, **asdict(facts))


def _limit(memory_bytes: int) -> None:
    for kind, value in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory_bytes)):
        with suppress(OSError, ValueError):  # macOS refuses RLIMIT_AS
            resource.setrlimit(kind, (value, value))
    with suppress(OSError):  # already a session leader
        os.setsid()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})


def main() -> None:
    """Serve requests until the end of file. The first line written is `ready`."""
    parser = argparse.ArgumentParser(prog="python -m runner.image_prep.decode_worker")
    parser.add_argument("--answers", type=int, required=True, metavar="FD")
    parser.add_argument("--memory", type=int, required=True, metavar="BYTES")
    options = parser.parse_args()
    _limit(options.memory)
    answers = os.fdopen(options.answers, "w", encoding="ascii")
    with suppress(BrokenPipeError):
        print(json.dumps({"ready": os.getpid()}), file=answers, flush=True)
        for line in sys.stdin.buffer:
            order = DecodeRequest(**json.loads(line))
            # Needed only if native code hangs after the parent has exited.
            signal.setitimer(signal.ITIMER_REAL, 2 * order.limit_s + 5)
            print(json.dumps(asdict(serve(order))), file=answers, flush=True)
            signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    main()
