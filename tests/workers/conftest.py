"""Images, and a way to talk to a real worker process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest
from PIL import Image, ImageOps

from schemas.commands import Command
from tests.helpers.paths import ROOT
from tests.helpers.waiting import WAIT_S


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Six prepared images: square, 4:3, one pixel, tall, flattened and turned upright."""
    out = tmp_path_factory.mktemp("images")
    square = Image.linear_gradient("L").resize((96, 96)).convert("RGB")
    wide = Image.radial_gradient("L").resize((64, 48)).convert("RGB")
    clear = Image.new("RGBA", (80, 60), (200, 30, 10, 90))
    turned = Image.linear_gradient("L").resize((64, 40)).convert("RGB")
    turned.getexif()[0x0112] = 6  # to be turned a quarter
    made = {
        "square": square,
        "wide": wide,
        "dot": Image.new("RGB", (1, 1), (10, 200, 30)),
        "tall": square.resize((30, 110)).rotate(180),
        "clear": Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear),
        "turned": ImageOps.exif_transpose(turned),
    }
    paths = {}
    for name, image in made.items():
        image.convert("RGB").save(out / f"{name}.png")
        paths[name] = str(out / f"{name}.png")
    return paths


@dataclass
class Talk:
    """The output and exit status of a worker."""

    events: list[dict[str, Any]]
    code: int
    log: str

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of one kind, in order."""
        return [event for event in self.events if event["event"] == name]


@pytest.fixture
def talk() -> Callable[..., Talk]:
    """Run a worker over some commands (or raw bytes), then close its input.

    `before` is Python that runs in the process ahead of the worker's own first line.
    """

    def run(
        commands: list[Command] | bytes, *, before: str = "", env: dict[str, str] | None = None
    ) -> Talk:
        read, write = os.pipe()
        start = f"{before}\nfrom workers.__main__ import main\nmain(['--events-fd', '{write}'])"
        data = commands if isinstance(commands, bytes) else b"".join(map(to_line, commands))
        process = subprocess.Popen(
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[write],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
        )
        os.close(write)
        with os.fdopen(read, "rb") as stream, process:
            assert process.stdin
            process.stdin.write(data)
            process.stdin.close()
            process.stdin = None
            log, lines = _drain(process, stream)
        return Talk([json.loads(line) for line in lines], process.returncode, log)

    return run


def _drain(process: subprocess.Popen[bytes], stream: Any) -> tuple[str, list[bytes]]:
    """Read log and events at once, so that neither pipe can fill up and stop the worker."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        lines = pool.submit(stream.readlines)
        try:
            log, _ = process.communicate(timeout=WAIT_S)
        except subprocess.TimeoutExpired:
            process.kill()  # or the way out of this block would wait for it for ever
            raise
        return log.decode("utf-8", "replace"), lines.result(WAIT_S)


def to_line(command: Command) -> bytes:
    """A command as the supervisor writes it."""
    return json.dumps(asdict(command)).encode() + b"\n"
