"""Real files through the real decoder: what is prepared, what is refused, what is survived."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image, ImageCms, features

from runner.image_prep import decode_client
from runner.image_prep.prepare import prepare_images
from schemas.image import PreparedImage
from tests.helpers import image_files as make
from tests.helpers.paths import ROOT
from tests.helpers.waiting import WAIT_S


class Desk:
    """A folder of source images and one of prepared images."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "prepared"
        self.earlier = set(psutil.Process().children(recursive=True))  # of other tests

    def children(self) -> set[psutil.Process]:
        """The processes below this one, zombies too, that were started since."""
        return set(psutil.Process().children(recursive=True)) - self.earlier

    def put(self, name: str, content: bytes | Image.Image, **options: Any) -> Path:
        path = self.home / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            content.save(path, **options)
        return path

    def prepare(self, *paths: Path, **options: Any) -> list[PreparedImage]:
        options = {"max_side": None, "folder": self.folder, **options}
        return prepare_images(paths, **options)

    def pixels(self, path: Path, **options: Any) -> Image.Image:
        [image] = self.prepare(path, **options)
        assert image.error_class is None, image.message
        return opened(image)

    def refused(self, path: Path, **options: Any) -> PreparedImage:
        [image] = self.prepare(path, **options)
        assert image.error_class is not None
        assert image.message
        assert image.prepared_path is None
        return image


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def opened(prepared: PreparedImage) -> Image.Image:
    assert prepared.prepared_path is not None
    with Image.open(prepared.prepared_path) as image:
        image.load()
    assert image.format == "PNG"
    assert image.mode == "RGB"
    assert image.size == (prepared.prepared_width, prepared.prepared_height)
    return image


def near(found: Any, wanted: tuple[int, ...], by: int = 6) -> bool:
    return all(abs(f - w) <= by for f, w in zip(found, wanted, strict=True))


def fake(monkeypatch: pytest.MonkeyPatch, home: Path, body: str) -> None:
    """Replace the decoder by a script in which `special(name)` can misbehave per image."""
    script = home / "fake_decoder.py"
    script.write_text(
        "import os, signal, sys, time\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from runner.image_prep import decode_worker\n"
        "serve = decode_worker.serve\n"
        f"{body}\n"
        "def shunt(order):\n"
        "    special(os.path.basename(bytes.fromhex(order.path)).decode())\n"
        "    return serve(order)\n"
        "decode_worker.serve = shunt\n"
        "decode_worker.main()\n"
    )
    monkeypatch.setattr(decode_client, "COMMAND", (sys.executable, "-P", str(script)))


# Prepared images


def test_prepared_file_and_its_facts(desk: Desk) -> None:
    image = make.drawing(64, 48)
    path = desk.put("a.bmp", image)
    [prepared] = desk.prepare(path)
    assert prepared.path == path
    assert prepared.source_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert prepared.source_bytes == path.stat().st_size
    assert (prepared.format, prepared.mode) == ("BMP", "RGB")
    assert (prepared.width, prepared.height) == (64, 48)
    assert (prepared.orientation, prepared.frames) == (None, 1)
    digest = hashlib.sha256(b"RGB 64 48\n" + image.tobytes()).hexdigest()
    assert prepared.prepared_sha256 == digest
    assert prepared.prepared_path == desk.folder / digest[:2] / f"{digest}.png"
    assert opened(prepared).tobytes() == image.tobytes()
    assert not list(desk.folder.rglob("*.tmp"))


def test_equal_pixels_give_one_prepared_image(desk: Desk) -> None:
    image = make.drawing(300, 200)
    paths = [desk.put(f"a.{kind}", image) for kind in ("png", "bmp", "tiff", "qoi", "ppm")]
    for side in (None, 90):
        found = desk.prepare(*paths, max_side=side)
        assert len({image.prepared_sha256 for image in found}) == 1
        assert found[0].prepared_sha256 is not None
        assert len({image.source_sha256 for image in found}) == len(paths)


@pytest.mark.parametrize("kind", ["png", "webp", "jpg", "tif", "avif"])
def test_every_orientation_gives_the_same_pixels(desk: Desk, kind: str) -> None:
    if kind == "avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    unrotated = make.drawing(64, 48)
    paths = []
    for number in range(1, 9):
        path = desk.home / f"{number}.{kind}"
        if kind == "tif":
            turn = make.STORED[number - 1]
            stored = unrotated.transpose(turn) if turn is not None else unrotated
            stored.save(path, tiffinfo={274: number})
        else:
            make.oriented(unrotated, number, path)
        paths.append(path)
    for side in (None, 33):
        found = desk.prepare(*paths, max_side=side)
        assert [image.orientation or 1 for image in found] == list(range(1, 9))
        assert [(p.width, p.height) for p in found] == [(64, 48)] * 4 + [(48, 64)] * 4
        images = [opened(image) for image in found]
        assert {image.size for image in images} == {(64, 48) if side is None else (33, 25)}
        if kind in ("png", "tif"):
            assert len({image.prepared_sha256 for image in found}) == 1
        for image in images:
            assert near(image.getpixel((3, 3)), (20, 160, 60), 30)
            assert near(image.getpixel((3, image.height - 3)), (250, 250, 10), 30)


def test_images_are_resized_within_limits(desk: Desk) -> None:
    for size, side, wanted in (
        ((300, 200), 100, (100, 67)),
        ((200, 300), 100, (67, 100)),
        ((64, 48), 1000, (64, 48)),
        ((64, 48), 64, (64, 48)),
        ((4000, 2), 100, (100, 1)),
        ((1, 1), 1, (1, 1)),
        ((64, 48), 1, (1, 1)),
    ):
        path = desk.put("a.png", Image.new("RGB", size, (9, 90, 200)))
        image = desk.pixels(path, max_side=side)
        assert image.size == wanted
        assert image.getpixel((0, 0)) == (9, 90, 200)


def test_large_jpeg_is_resized_exactly(desk: Desk) -> None:
    [image] = desk.prepare(desk.put("a.jpg", make.drawing(3000, 2001)), max_side=200)
    assert (image.width, image.height) == (3000, 2001)
    assert opened(image).size == (200, 133)
    assert near(opened(image).getpixel((20, 20)), (20, 160, 60))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.pgm"])
def test_16_bit_grey_is_scaled_not_clipped(desk: Desk, name: str) -> None:
    image = Image.new("I;16", (4, 1))
    for x, value in enumerate((0, 300, 30000, 65535)):
        image.putpixel((x, 0), value)
    path = desk.put(name, image, **({"format": "PPM"} if name == "a.pgm" else {}))
    grey = desk.pixels(path)
    assert grey.tobytes()[::3] == bytes((0, 1, 117, 255))


def test_float_and_32_bit_grey_are_scaled(desk: Desk) -> None:
    real = Image.new("F", (3, 1))
    whole = Image.new("I", (3, 1))
    for x in range(3):
        real.putpixel((x, 0), x / 2)
        whole.putpixel((x, 0), x * 500_000)
    for name, image in (("f.tif", real), ("i.tif", whole)):
        assert desk.pixels(desk.put(name, image)).tobytes()[::3] == bytes((0, 128, 255))


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk_is_converted(desk: Desk, name: str) -> None:
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    path = desk.put(name, image)
    if name == "a.jpg":
        assert b"Adobe" in path.read_bytes()  # that is: stored inverted
    [prepared] = desk.prepare(path)
    assert prepared.mode == "CMYK"
    assert near(opened(prepared).getpixel((8, 8)), (255, 0, 0))


def test_transparent_pixels_become_white(desk: Desk) -> None:
    rgba = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    rgba.putpixel((1, 0), (0, 0, 0, 0))
    half = Image.new("RGBA", (2, 1), (0, 0, 0, 128))
    grey = Image.new("LA", (2, 1), (0, 0))
    palette = Image.new("P", (2, 1), 1)
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.putpixel((1, 0), 0)
    keyed = Image.new("RGB", (2, 1), (1, 2, 3))
    deep = Image.new("I;16", (2, 1), 5)
    red, white = (255, 0, 0), (255, 255, 255)
    cases = {
        "rgba.png": (desk.put("rgba.png", rgba), (red, white)),
        "rgba.webp": (desk.put("rgba.webp", rgba, lossless=True), (red, white)),
        "half.png": (desk.put("half.png", half), ((127, 127, 127),) * 2),
        "la.png": (desk.put("la.png", grey), (white, white)),
        "p.png": (desk.put("p.png", palette, transparency=0), (red, white)),
        "p.gif": (desk.put("p.gif", palette, transparency=0), (red, white)),
        "opaque.png": (desk.put("opaque.png", palette), (red, (0, 0, 0))),
        "key.png": (desk.put("key.png", keyed, transparency=(1, 2, 3)), (white, white)),
        "deep.png": (desk.put("deep.png", deep, transparency=5), (white, white)),
    }
    found = desk.prepare(*[path for path, _ in cases.values()])
    for (name, (_, wanted)), prepared in zip(cases.items(), found, strict=True):
        image = opened(prepared)
        assert all(near(image.getpixel((x, 0)), wanted[x], 1) for x in (0, 1)), name


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif"])
def test_first_frame_of_an_animation_is_used(desk: Desk, name: str) -> None:
    colours = [(250, 10, 10), (10, 250, 10), (10, 10, 250)]
    frames = [Image.new("RGB", (20, 10), colour) for colour in colours]
    path = desk.put(name, frames[0], save_all=True, append_images=frames[1:])
    [image] = desk.prepare(path)
    assert image.frames == 3
    assert near(opened(image).getpixel((5, 5)), colours[0])


def test_colour_profile_is_applied_and_metadata_removed(desk: Desk) -> None:
    image = Image.new("L", (8, 8), 119)
    image = Image.merge("LAB", (image, *[Image.new("L", (8, 8), 128)] * 2))
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    plain = make.drawing()
    kept = desk.pixels(desk.put("srgb.png", plain, icc_profile=srgb.tobytes()))
    assert kept.tobytes() == plain.tobytes()
    assert kept.info == {}
    for name, profile in (("broken", b"not a profile"), ("other", lab)):
        path = desk.put(f"{name}.png", plain, icc_profile=profile)
        assert desk.pixels(path).tobytes() == plain.tobytes()


def test_wide_gamut_profile_changes_the_pixels(desk: Desk) -> None:
    """Swapping the colorants of sRGB's own profile makes red mean green."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    named = profile.find("sRGB".encode("utf-16-be"))
    assert named >= 0
    profile[named : named + 2] = b"\0x"
    image = Image.new("RGB", (8, 8), (255, 0, 0))
    path = desk.put("a.png", image, icc_profile=bytes(profile))
    assert near(desk.pixels(path).getpixel((4, 4)), (0, 255, 0))


@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_modern_formats_are_decoded(desk: Desk, kind: str) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    elif not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    path = desk.put("a.bin", make.encoded(make.drawing(), kind, quality=95))
    [image] = desk.prepare(path)
    assert image.format == kind
    assert near(opened(image).getpixel((5, 5)), (20, 160, 60), 25)


def test_missing_decoder_is_named_by_the_file_signature(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(
        monkeypatch,
        desk.home,
        "import PIL.AvifImagePlugin\n"
        "PIL.AvifImagePlugin.SUPPORTED = False\n"
        "sys.modules['pillow_heif'] = None\n"
        "def special(name): pass",
    )
    for brand, hint in ((b"heic", "pip install 'vlmsweep[heif]'"), (b"avif", "pip install")):
        path = desk.put("a.jpg", b"\0\0\0\x18ftyp" + brand + bytes(100))
        image = desk.refused(path)
        assert image.error_class == "missing_package"
        assert hint in (image.message or "")


# Refused files


def test_file_that_is_not_regular_is_refused(desk: Desk) -> None:
    fifo, dangling, loop = (desk.home / name for name in ("fifo", "dangling", "loop"))
    os.mkfifo(fifo)
    dangling.symlink_to(desk.home / "nowhere")
    loop.symlink_to(loop)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(desk.home / "door"))
        cases: list[tuple[Path, str, str]] = [
            (fifo, "bad_image", "named pipe"),
            (desk.home / "door", "bad_image", "socket"),
            (Path("/dev/zero"), "bad_image", "device"),
            (desk.home, "bad_image", "folder"),
            (desk.put("empty.png", b""), "bad_image", "0 bytes"),
            (dangling, "not_found", "symbolic link"),
            (loop, "not_found", "symbolic links"),
            (desk.home / "absent.png", "not_found", "does not exist"),
            (desk.home / "empty.png" / "below", "not_found", "does not exist"),
            (desk.home / ("n" * 300), "not_found", "too long"),
            (desk.home / ("d/" * 40_000), "not_found", "too long"),
            (Path("nul\0.png"), "not_found", "NUL"),
            (Path("\ud800.png"), "not_found", "name"),
        ]
        found = desk.prepare(*[path for path, _, _ in cases], limit_s=5)
    for image, (path, error_class, text) in zip(found, cases, strict=True):
        assert image.path == path
        assert (image.error_class, text in (image.message or "")) == (error_class, True), image


def test_unreadable_file_is_reported(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.put("a.png", make.drawing())
    path.chmod(0)
    if os.getuid() == 0:  # root reads everything, so the decoder steps down
        fake(monkeypatch, desk.home, "def special(name): os.setuid(65534)")
    image = desk.refused(path)
    assert image.error_class == "bad_image"
    # Nobody may also lack the way to pytest's private folder; either way it is a permission.
    assert "permissions" in (image.message or "")


def test_sparse_giant_is_refused_without_reading(desk: Desk) -> None:
    path = desk.put("a.png", b"\x89PNG")
    os.truncate(path, (1 << 30) + 1)
    assert "1 GiB" in (desk.refused(path).message or "")


def test_decompression_bombs_are_refused_before_decoding(desk: Desk) -> None:
    just = desk.refused(desk.put("a.png", make.png_bomb(15_000, 15_000)))
    assert (just.width, just.height, just.format) == (15_000, 15_000, "PNG")
    assert "15000×15000" in (just.message or "")
    assert "200,000,000" in (just.message or "")
    far = desk.refused(desk.put("b.png", make.png_bomb(60_000, 60_000)))
    assert "pixels" in (far.message or "")
    [small] = desk.prepare(desk.put("c.png", make.drawing(100, 100)))
    assert small.error_class is None
    # The folder knows this one by now, and the limit still holds.
    assert "100×100" in (desk.refused(small.path, max_pixels=9_999).message or "")


def test_decoder_memory_is_limited(desk: Desk) -> None:
    bomb = desk.put("a.png", make.png_bomb(13_000, 13_000))
    sound = desk.put("b.png", make.drawing())
    first, second = desk.prepare(bomb, sound, memory_bytes=160 << 20)
    if sys.platform == "linux":
        assert first.error_class == "bad_image"
        assert "memory" in (first.message or "")
    assert second.error_class is None


def test_truncated_files_are_refused(desk: Desk) -> None:
    paths = []
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"):
        data = make.encoded(make.noise(120, 90), kind)
        for part in (30, 60, 90):
            paths.append(desk.put(f"{part}.{kind}", data[: len(data) * part // 100]))
    for image in desk.prepare(*paths):
        assert image.error_class == "bad_image", image
        assert image.message


def test_file_changed_during_preparation_is_detected(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "real = decode_worker.pixels.decode\n"
        "def late(file, *rest):\n"
        "    os.utime(file.fileno(), ns=(1, 1))\n"
        "    return real(file, *rest)\n"
        "decode_worker.pixels.decode = late\n"
        "def special(name): pass"
    )
    fake(monkeypatch, desk.home, body)
    assert "changed" in (desk.refused(desk.put("a.png", make.drawing())).message or "")
    assert not desk.folder.exists()


@pytest.mark.parametrize("progressive", [False, True])
def test_zero_filled_jpeg_is_refused(desk: Desk, progressive: bool) -> None:
    exif = Image.Exif()
    exif[0x010E] = "\xff\xd9 a thumbnail's end is not the image's"
    data = make.encoded(make.noise(120, 90), "JPEG", progressive=progressive, exif=exif)
    half = len(data) // 2
    path = desk.put("a.jpg", data[:half] + bytes(len(data) - half))
    refused = desk.refused(path)
    assert progressive or "zeros" in (refused.message or "")  # Pillow sees the other kind itself
    whole = desk.put("b.jpg", data + bytes(4096))
    assert desk.pixels(whole).size == (120, 90)


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"\n <!DOCTYPE html><html>", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        (b"\0\0\0\x20ftypisom" + bytes(50), "film"),
        (b"just text", "known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "known format"),
    ],
)
def test_file_that_is_not_an_image_is_refused(desk: Desk, data: bytes, hint: str) -> None:
    image = desk.refused(desk.put("a.png", data))
    assert image.error_class == "bad_image"
    assert hint in (image.message or "")


def test_unusual_file_names_are_prepared(desk: Desk) -> None:
    names = [b"new\nline", b"quo'te\"s", b"\xff\xfe raw", b'{"number": 9}', b"-x", "日本".encode()]
    paths = []
    for name in names:
        path = desk.home / os.fsdecode(name + b".png")
        path.write_bytes(make.encoded(make.drawing(), "PNG"))
        paths.append(path)
    found = desk.prepare(*paths)
    assert [image.path for image in found] == paths
    assert [image.error_class for image in found] == [None] * len(paths)


@pytest.mark.slow
def test_mutated_files_never_break_preparation(desk: Desk) -> None:
    count = int(os.environ.get("VLMSWEEP_MUTANTS", "1000"))
    files = make.mutants(count)
    paths = [desk.put(f"{n}.{suffix}", data) for n, (suffix, data) in enumerate(files)]
    found = desk.prepare(*paths, max_side=64, limit_s=20)
    assert [image.path for image in found] == paths
    for image in found:
        assert (image.prepared_path is None) == bool(image.message)
    refused = [image for image in found if image.error_class]
    assert 0.1 * count < len(refused) < count
    lost = [image for image in refused if "the decoder " in (image.message or "")]
    assert len(lost) <= count / 100  # errors are caught, and cost no process
    assert not desk.children()


# The second time


def test_second_preparation_decodes_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = desk.put("a.jpg", make.drawing(300, 200))
    [first] = desk.prepare(path, max_side=90)
    assert first.prepared_path is not None
    before = first.prepared_path.stat()
    # A decoder in which decoding is an error: only the index can answer.
    fake(monkeypatch, desk.home, "decode_worker.pixels.decode = None\ndef special(name): pass")
    [again] = desk.prepare(path, max_side=90)
    after = first.prepared_path.stat()
    assert (first.reused, again.reused) == (False, True)
    assert (again.prepared_sha256, again.width) == (first.prepared_sha256, 300)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert desk.refused(path, max_side=91).error_class == "bad_image"


@pytest.mark.parametrize("damage", ["no png", "short png", "no index", "torn index", "lying index"])
def test_damaged_folder_is_rebuilt(desk: Desk, damage: str) -> None:
    path = desk.put("a.png", make.drawing(300, 200))
    [first] = desk.prepare(path, max_side=90)
    assert first.prepared_path is not None
    [index] = (desk.folder / "index").iterdir()
    match damage:
        case "no png":
            first.prepared_path.unlink()
        case "short png":
            first.prepared_path.write_bytes(b"\x89PNG")
        case "no index":
            index.unlink()
        case "torn index":
            index.write_bytes(index.read_bytes()[:50])
        case _:
            entry = json.loads(index.read_bytes())
            entry["facts"]["prepared_width"] = "wide"
            index.write_text(json.dumps(entry))
    [again] = desk.prepare(path, max_side=90)
    assert not again.reused
    assert again == first
    assert opened(again).size == (90, 60)
    assert desk.prepare(path, max_side=90)[0].reused


def test_unwritable_folder_is_reported(desk: Desk) -> None:
    path = desk.put("a.png", make.drawing())
    with pytest.raises(decode_client.ImageFolderError, match="folder for prepared images"):
        desk.prepare(path, folder=path / "below")
    assert not desk.children()


# Survived faults


DEEDS = {
    "stopped": ("os.kill(os.getpid(), signal.SIGSTOP)", "took over 4 s"),
    "hung": ("import ctypes; ctypes.PyDLL(None).pause()", "took over 4 s"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
    "abort": ("os.abort()", "SIGABRT"),
    "kill": ("os.kill(os.getpid(), signal.SIGKILL)", "killed from outside"),
    "exit": ("os._exit(3)", "exit status 3"),
    "words": ("sys.exit('last words')", "exit status 1 (last words)"),
    "escape": ("raise ValueError('\\033[2Jred')", "\ufffd[2Jred"),
    "noise": ("os.write(int(sys.argv[2]), b'noise\\n' * 9)", "invalid data"),
    "flood": ("os.write(int(sys.argv[2]), b'[' * 200_000)", "invalid data"),
}


@pytest.mark.slow
def test_lost_decoder_fails_one_image(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    deeds = {f"{name}.png": deed for name, (deed, _) in DEEDS.items()}
    fake(monkeypatch, desk.home, f"def special(name): exec({deeds!r}.get(name, ''))")
    names = ["first.png", *deeds, "last.png"]
    paths = [desk.put(name, make.drawing()) for name in names]
    alive: list[int] = []
    first, *evil, last = desk.prepare(
        *paths, limit_s=4, on_image=lambda _: alive.append(len(desk.children()))
    )
    assert (first.error_class, last.error_class) == (None, None)
    for image, (name, (_, hint)) in zip(evil, DEEDS.items(), strict=True):
        assert image.error_class == "bad_image"
        assert hint in (image.message or ""), name
    assert alive == [1, *[0] * len(evil), 1]  # a lost one is dead before the next image
    assert not desk.children()


def test_library_output_does_not_break_the_protocol(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    deed = "os.write(1, b'{}\\n' * 300_000); os.write(2, b'\\xff' * 900_000); print('x' * 9999)"
    fake(monkeypatch, desk.home, f"def special(name): {deed}")
    paths = [desk.put(name, make.drawing()) for name in ("a.png", "b.png")]
    assert [image.error_class for image in desk.prepare(*paths)] == [None, None]


def test_image_after_a_broken_decoder_is_retried(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "seen = []\ndef special(name):\n    seen.append(name)\n    len(seen) == 2 and os.abort()"
    fake(monkeypatch, desk.home, body)
    paths = [desk.put(f"{n}.png", make.drawing()) for n in range(5)]
    assert [image.error_class for image in desk.prepare(*paths)] == [None] * 5


def test_decoder_start_failure_is_not_blamed_on_images(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = desk.put("a.png", make.drawing())
    for command in ((sys.executable, "-c", "raise SystemExit('no such thing')"), ("/nowhere",)):
        monkeypatch.setattr(decode_client, "COMMAND", command)
        with pytest.raises(decode_client.DecoderError, match=r"no such thing|No such file"):
            desk.prepare(path)
    assert not desk.children()


def test_temporary_files_of_a_killed_decoder_are_removed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = (
        "def special(name): pass\ndef die(fd): os.kill(os.getpid(), 9)\n"
        "decode_worker.os.fsync = die"
    )
    fake(monkeypatch, desk.home, body)
    desk.refused(desk.put("a.png", make.drawing()))
    assert [path for path in desk.folder.rglob("*") if path.is_file()] == []


def test_exception_ends_the_decoder(desk: Desk) -> None:
    def interrupt(image: PreparedImage) -> None:
        assert len(desk.children()) == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        desk.prepare(desk.put("a.png", make.drawing()), on_image=interrupt)
    assert not desk.children()


PARENT = """
import os, sys, threading
from pathlib import Path
from runner.image_prep import decode_client
from runner.image_prep.prepare import prepare_images
decode_client.COMMAND = (sys.executable, "-P", sys.argv[1])
print("PIL" in sys.modules, flush=True)
prepare_images([Path(sys.argv[2])], max_side=None, folder=Path(sys.argv[3]), limit_s=6000)
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_decoder_exits_with_its_parent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, sign: signal.Signals
) -> None:
    """SIGINT: killed at once. SIGKILL: the decoder, then idle, sees the end of file."""
    gate = desk.home / "gate"
    os.mkfifo(gate)
    # Opening a FIFO waits for the other side: a meeting point without sleeping.
    deed = f"open({str(gate)!r}, 'w').write(str(os.getpid()))"
    if sign == signal.SIGINT:
        deed += "; time.sleep(6000)"
    fake(monkeypatch, desk.home, f"def special(name): {deed}")
    path = desk.put("a.png", make.drawing())
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, decode_client.COMMAND[-1], path, desk.folder],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with parent:
        try:
            with gate.open() as meeting:
                child = psutil.Process(parent.pid).children()[0]
                if sign == signal.SIGKILL:
                    parent.send_signal(sign)
                assert int(meeting.read()) == child.pid
            if sign == signal.SIGINT:
                parent.send_signal(sign)
            psutil.wait_procs([child], timeout=WAIT_S)
            assert not child.is_running()
        finally:
            parent.kill()
        assert parent.stdout is not None
        assert parent.stdout.read() == b"False\n"


def test_hanging_orphan_decoder_exits(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """No parent watches here: the decoder's own alarm must go off, though native code hangs."""
    body = "def special(name):\n    import ctypes\n    ctypes.PyDLL(None).sleep(600)"
    fake(monkeypatch, desk.home, body)
    order = {"number": 0, "path": "61", "folder": "62", "max_side": 1, "max_pixels": 1}
    done = subprocess.run(
        [*decode_client.COMMAND, "--answers", "1", "--memory", str(1 << 30)],
        input=json.dumps({**order, "limit_s": -2.0}).encode(),  # 2 × limit + 5 s = 1 s
        stdout=subprocess.DEVNULL,
        timeout=WAIT_S,
        check=False,
    )
    assert done.returncode == -signal.SIGALRM


@pytest.mark.serial
def test_parent_memory_stays_small(desk: Desk) -> None:
    path = desk.put("a.png", make.noise(2000, 1500))
    me = psutil.Process()
    desk.prepare(desk.put("b.png", make.drawing()))
    before = me.memory_info().rss
    most: list[int] = []
    desk.prepare(path, path, on_image=lambda _: most.append(me.memory_info().rss))
    assert max(most) - before < 4 << 20  # decoded it takes 12 MB


def test_decoder_environment_has_no_secrets(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fake(monkeypatch, desk.home, "def special(name): 'HF_TOKEN' in os.environ and os.abort()")
    assert desk.pixels(desk.put("a.png", make.drawing())).size == (64, 48)


def test_invalid_limits_are_refused(desk: Desk) -> None:
    for options in ({"max_side": 0}, {"limit_s": 0}, {"max_pixels": 0}, {"memory_bytes": 1}):
        with pytest.raises(ValueError, match="must be"):
            desk.prepare(**options)
    assert desk.prepare() == []
