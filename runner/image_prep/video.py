"""From a video's bytes to upright RGB frames: the only place where FFmpeg meets hostile files.

Runs in the decoding subprocess alone, and imports PyAV not before a video must be decoded. What
the file says of its own length is not believed: its packets are counted first, then only what
leads to the frames wanted is decoded. Sound is never decoded, and nothing but the one file read.
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

# Few formats, told by their first bytes and never probed: FFmpeg knows playlists, too, which
# would have it open other files.
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
MISSING_S, MISSING_PART = 0.5, 0.1  # more than both of what the header promises: cut off
WIDEST_PIXEL = 4  # pixels of a stranger shape than 1:4 are a broken header's


class SeekMismatchError(Exception):
    """Seeking did not lead to the frame it should have."""


@dataclass(frozen=True, slots=True)
class _Index:
    """All frames in the order they are shown: when (ticks), for how long altogether, the keys.

    `timed` tells that the times are the file's own, so that frames can be found by them.
    """

    times: list[int]
    end: int
    keys: list[int]
    timed: bool


def read_video(
    file: IO[bytes], facts: ImageFacts, order: DecodeRequest
) -> tuple[ImageFacts, Iterator[tuple[float, Image]]]:
    """What the file says of itself, and its frames: seconds from the start, and the image.

    Raises RefusedError and whatever PyAV raises for a broken file, while iterating too.
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
    """The video stream, on one thread: each more would take address space from the limit."""
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
    """Every frame there is, by its packet; nothing is decoded. Raises RefusedError for none."""
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
    # AVI has no times of its own; FFmpeg makes some up, wrong ones where frames are reordered.
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
    """Refuse a video that holds much less than its header promises."""
    found = float((index.end - index.times[0]) * stream.time_base)
    if stream.duration is not None:
        said = float(stream.duration * stream.time_base)
    elif container.duration is not None and len(container.streams) == 1:
        said = container.duration / 1e6
    else:
        return
    if said - found > max(MISSING_S, MISSING_PART * said):
        text = f"holds {found:.1f} s of the {said:.1f} s its header promises: it is cut off or "
        raise UnusableImageError("bad_image", text + "broken, fetch or export it again")


def _title(container: Any) -> str:
    name = str(container.format.name).partition(",")[0]
    return {"mov": "MP4", "matroska": "Matroska"}.get(name, name.upper())


def _pixel_shape(stream: Any) -> float:
    """A pixel's width over its height, 1 where the file says nothing sane."""
    shape = float(stream.sample_aspect_ratio or 1)
    return shape if 1 / WIDEST_PIXEL <= shape <= WIDEST_PIXEL else 1.0


def _orientation(file: IO[bytes]) -> int | None:
    """What the first frame's display matrix comes to, as EXIF's orientation."""
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
        # Anything but a quarter turn is left as it is: nobody films at 37 degrees.
        return ORIENTATIONS.get((_sign(a), _sign(b), _sign(c), _sign(d)))


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _frame_indices(index: _Index, count: int) -> list[int]:
    """Which frames are taken: those shown amid `count` equal parts of the length, each once."""
    start = index.times[0]
    span = index.end - start
    amid = (start + (2 * part + 1) * span // (2 * count) for part in range(count))
    return list(dict.fromkeys(max(0, bisect_right(index.times, time) - 1) for time in amid))


def _decode_frames(file: IO[bytes], index: _Index, places: list[int]) -> Iterator[tuple[int, Any]]:
    """The frames in these places: by seeking, and by counting from where that fails."""
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
    """Seek to the key frame before each, unless the way from the last one is shorter."""
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
    """A frame as people see it: square pixels, upright, shrunk."""
    from PIL.Image import Resampling

    size = (max(1, round(image.width * shape)), image.height)
    image = apply_orientation(image, orientation)
    size = fit_size(size[::-1] if (orientation or 1) > 4 else size, longest)
    if size != image.size:
        image = image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)
    return image
