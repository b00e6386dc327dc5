"""Real videos through the real decoder: which frames are taken, what is refused, what is survived.

Each frame's grey level is its number, so that a frame can be identified.
"""

from __future__ import annotations

import json
import resource
import struct
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from runner.database import sweep_writer
from runner.errors import SweepFileError
from runner.image_prep import decode_client
from runner.image_prep.prepare import prepare_images
from runner.planning import expand, sweepfile
from runner.planning.plan import Plan
from schemas.image import PreparedImage

STEP = 8  # grey levels between frames: lossy codecs miss by less than half
CODECS = {".mp4": "libx264", ".mov": "libx264", ".m4v": "libx264", ".mkv": "libx264"} | {
    ".webm": "libvpx-vp9",
    ".avi": "mpeg4",
}


def film(
    path: Path,
    frames: int = 20,
    size: tuple[int, int] = (64, 48),
    *,
    codec: str | None = None,
    turn: dict[str, Any] | None = None,
    times: list[int] | None = None,
    drawn: Callable[[int], Image.Image] | None = None,
    pixel: Any = None,
    **options: Any,
) -> Path:
    """A real video, ten frames per second unless `times` (hundredths of a second) is given."""
    draw = drawn or (lambda i: Image.new("RGB", size, (i * STEP % 256,) * 3))
    with av.open(str(path), "w", **options) as container:
        stream = container.add_stream(codec or CODECS[path.suffix.lower()], rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv444p" if codec == "ffv1" else "yuv420p"
        stream.gop_size, stream.bit_rate = 6, 2_000_000
        if turn is not None:
            stream.set_display_rotation(**turn)
        if pixel is not None:
            stream.codec_context.sample_aspect_ratio = pixel
        for i in range(frames):
            frame = av.VideoFrame.from_image(draw(i))
            if times is not None:
                frame.pts, frame.time_base = times[i], Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def prepare(path: Path, **options: Any) -> PreparedImage:
    folder = path.parent / "prepared"
    [image] = prepare_images([path], **{"max_side": None, "folder": folder, **options})
    return image


def opened(prepared: PreparedImage) -> list[Image.Image]:
    assert prepared.error_class is None, prepared.message
    assert prepared.kind == "video"
    images = []
    for path in prepared.frame_paths:
        with Image.open(path) as image:
            image.load()
        assert (image.format, image.mode) == ("PNG", "RGB")
        images.append(image)
    return images


def numbers(image: PreparedImage) -> list[int]:
    """Numbers of the selected frames."""
    shown = [image.resize((1, 1), Image.Resampling.BOX) for image in opened(image)]
    levels: list[Any] = [image.convert("L").getpixel((0, 0)) for image in shown]
    assert all(min(level % STEP, STEP - level % STEP) < STEP / 2 for level in levels)
    return [round(level / STEP) for level in levels]


def refused(path: Path, **options: Any) -> str:
    image = prepare(path, **options)
    assert (image.error_class, image.kind) == ("bad_image", "video"), image
    assert (image.prepared_path, image.frame_paths) == (None, ())
    return str(image.message)


# Frame selection


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize(
    ("asked", "taken"),
    [(1, [10]), (4, [2, 7, 12, 17]), (5, [2, 6, 10, 14, 18]), (20, list(range(20)))],
)
def test_sampled_frames_are_evenly_spaced_and_exact(
    tmp_path: Path, suffix: str, asked: int, taken: list[int]
) -> None:
    image = prepare(film(tmp_path / f"a{suffix}"), max_frames=asked)
    assert numbers(image) == taken
    assert image.frame_times_s == pytest.approx([number / 10 for number in taken])
    assert (image.frames, image.max_frames) == (20, asked)
    assert image.duration_s == pytest.approx(2.0)
    assert image.prepared_path == image.frame_paths[0]


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".avi"), ("mpeg4", ".mp4")])
def test_frames_without_timestamps_are_counted(tmp_path: Path, codec: str, suffix: str) -> None:
    path = film(tmp_path / f"a{suffix}", codec=codec)
    assert numbers(prepare(path, max_frames=4)) == [2, 7, 12, 17]


def test_short_video_gives_each_frame_once(tmp_path: Path) -> None:
    assert numbers(prepare(film(tmp_path / "a.mp4", 3), max_frames=8)) == [0, 1, 2]
    assert numbers(prepare(film(tmp_path / "b.webm", 1), max_frames=8)) == [0]


def test_frames_are_evenly_spaced_in_time(tmp_path: Path) -> None:
    times = [*range(0, 100, 10), 1000, 1990]  # one second of motion, then it stands still
    image = prepare(film(tmp_path / "a.mkv", 12, times=times), max_frames=4)
    assert numbers(image) == [9, 10]
    assert image.frame_times_s == pytest.approx([0.9, 10.0])


def test_wrong_seek_is_corrected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "astray.py"
    script.write_text(
        "from runner.image_prep import decode_worker, video\n"
        "honest = video._index\n"
        "def index(*args):\n"
        "    found = honest(*args)\n"
        "    return video._Index(found.times, found.end, found.times, True)\n"  # all are keys
        "video._index = index\n"
        "decode_worker.main()\n"
    )
    monkeypatch.setattr(decode_client, "COMMAND", (sys.executable, "-P", str(script)))
    assert numbers(prepare(film(tmp_path / "a.mp4"), max_frames=4)) == [2, 7, 12, 17]


# Frame pixels

QUARTERS = {  # (degrees against the clock, mirrored) to EXIF's orientation
    (0, False): 1,
    (90, False): 8,
    (180, False): 3,
    (270, False): 6,
    (0, True): 2,
}


@pytest.mark.parametrize(("turn", "orientation"), QUARTERS.items())
def test_frames_are_rotated_upright(
    tmp_path: Path, turn: tuple[int, bool], orientation: int
) -> None:
    def corner(_: int) -> Image.Image:
        image = Image.new("RGB", (64, 48))
        image.paste("white", (0, 0, 32, 24))  # top left
        return image

    degrees, mirrored = turn
    path = film(tmp_path / "a.mp4", 4, drawn=corner, turn={"degrees": degrees, "hflip": mirrored})
    image = prepare(path, max_frames=1)
    [frame] = opened(image)
    sideways = degrees in (90, 270)
    assert frame.size == ((48, 64) if sideways else (64, 48))
    assert (image.width, image.height) == (64, 48)
    assert (image.orientation or 1) == orientation
    wide, high = frame.size
    places = {
        "top left": (wide // 4, high // 4),
        "top right": (3 * wide // 4, high // 4),
        "bottom left": (wide // 4, 3 * high // 4),
        "bottom right": (3 * wide // 4, 3 * high // 4),
    }
    found = [name for name, place in places.items() if frame.getpixel(place)[0] > 200]
    wanted = {1: "top left", 8: "bottom left", 3: "bottom right", 6: "top right", 2: "top right"}
    assert found == [wanted[orientation]]


def test_rotation_metadata_is_applied(tmp_path: Path) -> None:
    """The matrix that phones write into portrait films, put there without PyAV's help."""
    path = film(tmp_path / "a.mov", 2)
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    data[place : place + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    assert prepare(path).orientation == 6


@pytest.mark.parametrize("size", [(65, 49), (1, 1), (2, 300)])
def test_frames_with_odd_sizes_are_decoded(tmp_path: Path, size: tuple[int, int]) -> None:
    image = prepare(film(tmp_path / "a.mkv", 3, size, codec="ffv1"))
    assert {image.size for image in opened(image)} == {size}
    assert (image.width, image.height) == size


def test_frames_are_resized_to_square_pixels(tmp_path: Path) -> None:
    big = prepare(film(tmp_path / "a.mp4", 2, (320, 160)), max_side=100)
    assert {image.size for image in opened(big)} == {(100, 50)}
    wide = prepare(film(tmp_path / "b.mp4", 2, (64, 48), pixel=Fraction(2)))
    assert {image.size for image in opened(wide)} == {(128, 48)}


# Stored frames


def test_prepared_video_is_not_decoded_again(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4")
    first, second = (prepare(path, max_frames=3) for _ in range(2))
    assert (first.reused, second.reused) == (False, True)
    assert second.frame_paths == first.frame_paths
    assert second.frame_times_s == first.frame_times_s
    assert len(prepare(path, max_frames=4).frame_paths) == 4
    first.frame_paths[2].unlink()
    third = prepare(path, max_frames=3)
    assert not third.reused
    assert third.frame_paths[2].exists()


def test_video_of_equal_frames_is_one_file(tmp_path: Path) -> None:
    grey = Image.new("RGB", (64, 48), "grey")
    image = prepare(film(tmp_path / "a.mkv", 9, codec="ffv1", drawn=lambda _: grey))
    assert len(image.frame_paths) == 8
    assert len(set(image.frame_paths)) == 1


def test_images_next_to_videos_stay_images(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), (level,) * 3) for level in (0, 255)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    paths = [tmp_path / "a.gif", film(tmp_path / "A.MP4", 2)]
    found = prepare_images(paths, max_side=None, folder=tmp_path / "prepared")
    assert [p.kind for p in found] == ["image", "video"]
    assert (found[0].frames, found[0].frame_paths, found[0].max_frames) == (2, (), None)


# Refused files and survived faults


def test_files_that_are_not_videos_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    for content, output in (
        (b"", "empty"),
        (b"hello " * 20, "not a video in a known format"),
        (b"<html>", "text such as HTML"),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "not a video in a known format"),
        (b"\0\0\0\x20ftypisom" + bytes(50), ""),
        (b"\x1aE\xdf\xa3" + bytes(50), ""),
    ):
        path.write_bytes(content)
        assert output in refused(path)
    Image.new("RGB", (8, 8)).save(path, "PNG")
    assert "not a video" in refused(path)


def test_audio_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        frame.sample_rate, frame.pts = 8000, 0
        frame.planes[0].update(bytes(4096))
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert "only sound" in refused(path)


@pytest.mark.parametrize("suffix", CODECS)
def test_truncated_video_is_handled(tmp_path: Path, suffix: str) -> None:
    path = film(tmp_path / f"a{suffix}", 40)
    whole = path.read_bytes()
    for part in (0.02, 0.3, 0.7):
        path.write_bytes(whole[: int(part * len(whole))])
        assert refused(path)


def test_truncated_fast_start_video_is_handled(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 40, options={"movflags": "faststart"})
    whole = path.read_bytes()
    assert whole.index(b"moov") < whole.index(b"mdat")
    path.write_bytes(whole[: int(0.9 * len(whole))])
    assert "cut off" in refused(path)


def children_cpu_s() -> float:
    """CPU time of the decoders that have ended, seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_video_with_a_huge_declared_length_is_handled(tmp_path: Path) -> None:
    path = film(tmp_path / "a.webm")
    data = bytearray(path.read_bytes())
    place = data.index(b"\x44\x89\x88") + 3  # Segment/Info/Duration, a double of milliseconds
    assert struct.unpack(">d", data[place : place + 8]) == (2000.0,)
    data[place : place + 8] = struct.pack(">d", 1e12)
    before = children_cpu_s()
    assert len(opened(prepare(path))) == 8
    intact = children_cpu_s() - before
    path.write_bytes(data)
    assert "header promises" in refused(path)
    assert children_cpu_s() - before < 3 * intact + 1


def test_video_without_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    assert refused(path)


def test_video_with_too_many_pixels_is_refused(tmp_path: Path) -> None:
    assert "over the limit" in refused(film(tmp_path / "a.mp4", 2), max_pixels=1000)


def test_mutated_videos_do_not_break_the_decoder(tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mp4", 6).read_bytes()
    paths = []
    for number in range(24):
        data = bytearray(whole)
        for place in range(number, len(data), 97):
            data[place] ^= 0x5A
        paths.append(tmp_path / f"{number}.mp4")
        paths[-1].write_bytes(data)
    paths.append(film(tmp_path / "sound.mp4", 6))
    found = prepare_images(paths, max_side=None, folder=tmp_path / "prepared", limit_s=5)
    assert {p.error_class for p in found[:-1]} <= {"bad_image", None}
    assert numbers(found[-1]) == list(range(6))


@pytest.mark.slow
def test_hanging_decoder_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "hang.py"
    script.write_text(
        "import signal\nfrom runner.image_prep import decode_worker, video\n"
        "video.read_video = lambda *_: signal.pause()\ndecode_worker.main()\n"
    )
    monkeypatch.setattr(decode_client, "COMMAND", (sys.executable, "-P", str(script)))
    output = refused(film(tmp_path / "a.mp4", 2), limit_s=1)
    assert "took over 4 s" in output  # videos may take four times as long


def test_missing_pyav_error_names_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "without.py"
    script.write_text(
        "import sys\nsys.modules['av'] = None\n"
        "from runner.image_prep import decode_worker\ndecode_worker.main()\n"
    )
    monkeypatch.setattr(decode_client, "COMMAND", (sys.executable, "-P", str(script)))
    image = prepare(film(tmp_path / "a.mp4", 2))
    assert image.error_class == "missing_package"
    assert "pip install 'vlmsweep[video]'" in str(image.message)


@pytest.mark.parametrize(
    "lie",
    [
        {"frame_sha256s": []},
        {"frame_sha256s": ["../../etc/passwd"], "frame_times_s": [0.0]},
        {"frame_times_s": []},
        {"duration_s": None},
    ],
)
def test_replies_of_a_compromised_decoder_are_validated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lie: dict[str, Any]
) -> None:
    script = tmp_path / "lie.py"
    script.write_text(
        "import dataclasses\nfrom runner.image_prep import decode_worker\n"
        "serve = decode_worker.serve\n"
        f"decode_worker.serve = lambda order: dataclasses.replace(serve(order), **{lie!r})\n"
        "decode_worker.main()\n"
    )
    monkeypatch.setattr(decode_client, "COMMAND", (sys.executable, "-P", str(script)))
    assert "invalid data" in refused(film(tmp_path / "a.mp4", 2))


# In a sweep


def sweep(here: Path, **data: Any) -> Plan:
    (here / "m").mkdir(exist_ok=True)
    base: dict[str, Any] = {"models": ["./m"], "prompts": ["p"]}
    return expand.expand_sweep(sweepfile.validate(base | data, "test"), here, "test")


def test_videos_are_found_by_name_or_glob_not_by_folder(tmp_path: Path) -> None:
    for name in ("a.png", "b.mp4", "c.MOV"):
        (tmp_path / name).touch()
    assert [p.name for p in sweep(tmp_path, images=["."]).images] == ["a.png"]
    assert [p.name for p in sweep(tmp_path, images=[".", "*.mp4"]).images] == ["a.png", "b.mp4"]
    own = [{"text": "p", "images": ["c.MOV", "a.png"]}]
    assert [p.name for p in sweep(tmp_path, prompts=own).images] == ["c.MOV", "a.png"]
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "d.mp4").touch()
    with pytest.raises(SweepFileError, match="name videos"):
        sweep(tmp_path, images=["clips"])


@pytest.mark.parametrize("frames", [0, 129, 2.5, "8"])
def test_frame_count_is_validated(tmp_path: Path, frames: Any) -> None:
    with pytest.raises(SweepFileError, match=r"video\.frames"):
        sweep(tmp_path, prompts=[{"text": "p", "images": "none"}], video={"frames": frames})


def test_job_keeps_the_position_of_its_videos(tmp_path: Path, store: Any) -> None:
    from runner.supervisor.queue import Queue
    from runner.system import environment
    from runner.system.timestamps import utc_now

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    film(tmp_path / "b.mp4", 4)
    (tmp_path / "c.mp4").write_bytes(b"none")
    prompts = [
        {"text": "p", "images": ["a.png", "b.mp4", "a.png"]},
        {"text": "q", "images": ["b.mp4", "a.png"]},
        {"text": "r", "images": ["c.mp4"]},
    ]
    plan = sweep(tmp_path, prompts=prompts, video={"frames": 2})
    made = prepare_images(plan.images, max_side=64, max_frames=2, folder=store.folder("images"))
    number = sweep_writer.add_sweep(store, plan, made, environment.supervisor_environment())
    queue = Queue(store.connection, number)
    [model] = queue.ready(utc_now())
    first, second, third = queue.queued_among(queue.queued_job_ids(model.id))
    [turn] = second.turns
    [video] = turn.videos
    assert (video.before, len(turn.images), len(video.frames)) == (0, 1, 2)
    assert video.times_s == pytest.approx((0.1, 0.3))
    assert video.duration_s == pytest.approx(0.4)
    [turn] = first.turns
    assert [v.before for v in turn.videos] == [1]
    assert third.broken is not None
    assert third.broken["error_class"] == "bad_image"
    rows = list(store.db.query("SELECT * FROM images ORDER BY id"))
    assert [row["kind"] for row in rows] == ["image", "video", "video"]
    assert [row["max_frames"] for row in rows] == [None, 2, 2]
    assert json.loads(rows[1]["frame_paths"]) == list(video.frames)
    assert json.loads(rows[1]["frame_times_s"]) == list(video.times_s)
    assert (rows[0]["frame_paths"], rows[2]["frame_paths"]) == (None, None)
    sweep_writer.add_sweep(store, plan, made, environment.supervisor_environment())
    assert len(list(store.db.query("SELECT * FROM images"))) == 3
