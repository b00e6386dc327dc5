"""Decodes videos into upright RGB frames: only here does FFmpeg read untrusted files.

Runs in the decoding subprocess only, and imports PyAV when it is first needed. The length in the
header is not trusted: packets are counted first, then only the requested frames are decoded, with
those they depend on. Audio is never decoded, and no other file is opened.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import IO, TYPE_CHECKING, Any

from schemas.image import DecodeRequest, ImageFacts

from .open_source import UnusableImageError
from .pixels import apply_orientation, fit_size, wrong_kind_reason

if TYPE_CHECKING:
    from PIL.Image import Image

# Few formats, recognized by their first bytes and never probed: FFmpeg also reads playlists,
# which would make it open other files.
ATOMS = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}
# A display matrix's signs (a, b, c, d) as EXIF's orientation.
ORIENTATIONS = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
MISSING_S, MISSING_PART = 0.5, 0.1  # a video that is shorter by more than both is cut off
WIDEST_PIXEL = 4  # a more extreme pixel aspect ratio means a broken header


class SeekMismatchError(Exception):
    """Seeking did not reach the expected frame."""


@dataclass(frozen=True, slots=True)
class _Index:
    """Times of all frames in display order, their end and the key frames, in ticks.

    `timed`: the times are from the file, so that seeking by them works.
    """

    times: list[int]
    end: int
    keys: list[int]
    timed: bool


def read_video(
    file: IO[bytes], facts: ImageFacts, order: DecodeRequest
) -> tuple[ImageFacts, Iterator[tuple[float, Image]]]:
    """Return the facts of a video and its frames: seconds from the start, and the image.

    Raises UnusableImageError and any error of PyAV for a broken file, also during iteration.
    """
    with _opened(file) as container:
        stream = _stream(container)
        codec = stream.codec_context
        width, height = codec.width, codec.height
        _check_size(width, height, order)
        index = _index(container, stream)
        _check_whole(container, stream, index)
        base = float(stream.time_base)
        shape = _pixel_shape(stream)
        facts = replace(facts, format=f"{_title(container)} {codec.name}", mode=codec.pix_fmt)
    orientation = _orientation(file)
    facts = replace(facts, width=width, height=height, orientation=orientation)
    length = (index.end - index.times[0]) * base
    facts = replace(facts, frames=len(index.times), duration_s=length)
    places = _frame_indices(index, order.max_frames or 1)

    def frames() -> Iterator[tuple[float, Image]]:
        for place, frame in _decode_frames(file, index, places):
            _check_size(frame.width, frame.height, order)
            image = _image(frame.to_image(), shape, orientation, order.max_side)
            yield (index.times[place] - index.times[0]) * base, image

    return facts, frames()


def _opened(file: IO[bytes]) -> Any:
    try:
        import av
    except ModuleNotFoundError:
        text = "is a video, which needs PyAV: pip install 'vlmsweep[video]'"
        raise UnusableImageError("missing_package", text) from None
    file.seek(0)
    head = file.read(64)
    file.seek(0)
    if head[4:8] in ATOMS:
        kind = "mov"
    elif head.startswith(b"\x1aE\xdf\xa3"):
        kind = "matroska"
    elif head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        kind = "avi"
    else:
        text = wrong_kind_reason(head) or "not a video in a known format (MP4, MOV, MKV, WebM, AVI)"
        raise UnusableImageError("bad_image", f"is {text}, or its start is broken")
    return av.open(file, "r", format=kind, options={"protocol_whitelist": "none"})


def _stream(container: Any) -> Any:
    """Return the video stream, with one thread: each thread takes address space.

    Raises UnusableImageError.
    """
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None:
            stream.codec_context.thread_count = 1
            return stream
    raise UnusableImageError("bad_image", "holds no video that can be decoded, perhaps only sound")


def _check_size(width: int, height: int, order: DecodeRequest) -> None:
    if width * height > order.max_pixels:
        text = f"has {width}×{height} pixels, over the limit of {order.max_pixels:,}: shrink it"
        raise UnusableImageError("bad_image", text)


def _index(container: Any, stream: Any) -> _Index:
    """Index all frames by their packets, without decoding. Raises UnusableImageError."""
    times, keys, ticks = [], [], []
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise UnusableImageError("bad_image", "is cut off or broken: fetch or export it again")
        if packet.size and not packet.is_discard:
            times.append(packet.pts)
            ticks.append(packet.duration or 0)
            if packet.is_keyframe:
                keys.append(packet.pts)
    if not times:
        raise UnusableImageError("bad_image", "holds no frames: fetch or export it again")
    # AVI stores no times; FFmpeg estimates them, wrongly if frames are reordered.
    timed = container.format.name != "avi" and None not in times
    if not timed or len(set(times)) != len(times):
        tick = max(1, round(1 / (stream.average_rate * stream.time_base))) if _rate(stream) else 1
        return _Index([tick * i for i in range(len(times))], tick * len(times), [], False)
    last = max(range(len(times)), key=times.__getitem__)
    times.sort()
    usual = [b - a for a, b in pairwise(times)][-1:] or [1]
    return _Index(times, times[-1] + (ticks[last] or usual[0]), sorted(keys), True)


def _rate(stream: Any) -> bool:
    return bool(stream.average_rate and stream.time_base)


def _check_whole(container: Any, stream: Any, index: _Index) -> None:
    """Raises UnusableImageError for a video much shorter than its header promises."""
    found = float((index.end - index.times[0]) * stream.time_base)
    if stream.duration is not None:
        promised = float(stream.duration * stream.time_base)
    elif container.duration is not None and len(container.streams) == 1:
        promised = container.duration / 1e6
    else:
        return
    if promised - found > max(MISSING_S, MISSING_PART * promised):
        text = f"holds {found:.1f} s of the {promised:.1f} s its header promises: it is cut off or "
        raise UnusableImageError("bad_image", text + "broken, fetch or export it again")


def _title(container: Any) -> str:
    name = str(container.format.name).partition(",")[0]
    return {"mov": "MP4", "matroska": "Matroska"}.get(name, name.upper())


def _pixel_shape(stream: Any) -> float:
    """Return the aspect ratio of a pixel (width / height); 1 if it is missing or invalid."""
    shape = float(stream.sample_aspect_ratio or 1)
    return shape if 1 / WIDEST_PIXEL <= shape <= WIDEST_PIXEL else 1.0


def _orientation(file: IO[bytes]) -> int | None:
    """Return the display matrix of the first frame as an EXIF orientation.

    Raises UnusableImageError.
    """
    with _opened(file) as container:
        frame = next(container.decode(_stream(container)), None)
        if frame is None:
            raise UnusableImageError(
                "bad_image", "holds no frame that can be decoded: export it again"
            )
        matrix = frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return None
        a, b, _, c, d, *_ = struct.unpack("=9i", bytes(matrix))
        # Only multiples of 90 degrees are applied.
        return ORIENTATIONS.get((_sign(a), _sign(b), _sign(c), _sign(d)))


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _frame_indices(index: _Index, count: int) -> list[int]:
    """Return the indexes of the frames in the middle of `count` equal parts, without duplicates."""
    start = index.times[0]
    span = index.end - start
    middles = (start + (2 * part + 1) * span // (2 * count) for part in range(count))
    return list(dict.fromkeys(max(0, bisect_right(index.times, time) - 1) for time in middles))


def _decode_frames(file: IO[bytes], index: _Index, places: list[int]) -> Iterator[tuple[int, Any]]:
    """Yield the frames with these indexes: by seeking, or by counting if that fails.

    Raises UnusableImageError.
    """
    done = 0
    if index.timed:
        try:
            for place, frame in _seek_frames(file, index, places):
                yield place, frame
                done += 1
        except SeekMismatchError:
            pass
    if done == len(places):
        return
    wanted = set(places[done:])
    with _opened(file) as container:
        count = -1
        for count, frame in enumerate(container.decode(_stream(container))):
            if count in wanted:
                yield count, frame
    if count < places[-1]:
        text = "holds frames that can't be decoded: fetch or export it again"
        raise UnusableImageError("bad_image", text)


def _seek_frames(file: IO[bytes], index: _Index, places: list[int]) -> Iterator[tuple[int, Any]]:
    """Yield frames by seeking to the key frame before each, if it is after the last frame.

    Raises SeekMismatchError.
    """
    with _opened(file) as container:
        stream, now, decoded = _stream(container), None, iter(())
        for place in places:
            wanted = index.times[place]
            before = bisect_right(index.keys, wanted) - 1
            key = index.keys[before] if before >= 0 else index.times[0]
            if now is None or key > now:
                container.seek(key, stream=stream)
                decoded, now = container.decode(stream), None
            while now is None or now < wanted:
                frame = next(decoded, None)
                if frame is None or frame.pts is None:
                    raise SeekMismatchError
                now = frame.pts
            if now != wanted:
                raise SeekMismatchError
            yield place, frame


def _image(image: Image, shape: float, orientation: int | None, longest: int | None) -> Image:
    """Return a frame with square pixels, upright and shrunk."""
    from PIL.Image import Resampling

    size = (max(1, round(image.width * shape)), image.height)
    image = apply_orientation(image, orientation)
    size = fit_size(size[::-1] if (orientation or 1) > 4 else size, longest)
    if size != image.size:
        image = image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)
    return image
