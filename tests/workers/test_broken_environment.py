"""Errors that the machine or the hub is to blame for, not the files: classed in both engines."""

from __future__ import annotations

import io
import json
import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pytest

from schemas.commands import Load, Stop
from schemas.events import Error, Event
from workers.main_loop import serve

pytestmark = pytest.mark.model

ENGINES = ("transformers", "mlx")
LIBRARY = {"transformers": "torch, transformers.models.idefics3", "mlx": "mlx_vlm"}
ROOM = 400 << 20  # bytes: for the library's threads and modules, not for the big weights
ROWS = 1 << 23
NUMBER = re.compile(r"\b\d[\d,]*\d\b")
LIMIT = """
import resource
def limit(room):
    with open('/proc/self/statm') as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + room, resource.RLIM_INFINITY))
"""
HIDE = """
import importlib.util
find = importlib.util.find_spec
hidden = {'torch', 'mlx_vlm'}
importlib.util.find_spec = lambda name, *more: None if name in hidden else find(name, *more)
"""


def widen(folder: Path, rows: int = ROWS) -> None:
    """Give the model gigabytes of embeddings, which take no place on the disk: a hole is zeros."""
    path = folder / "model.safetensors"
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    body, end, kept = data[8 + size :], 0, {}
    wide = [name for name in header if name.endswith(("embed_tokens.weight", "lm_head.weight"))]
    pieces = []
    for name, tensor in header.items():
        if name == "__metadata__" or name in wide:
            continue
        begin, stop = tensor["data_offsets"]
        kept[name] = {**tensor, "data_offsets": [end, end + stop - begin]}
        pieces.append(body[begin:stop])
        end += stop - begin
    for name in wide:
        columns = header[name]["shape"][1]
        stop = end + rows * columns * 4
        kept[name] = {"dtype": "F32", "shape": [rows, columns], "data_offsets": [end, stop]}
        end = stop
    text = json.dumps({"__metadata__": header["__metadata__"], **kept}).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(pieces))
        file.truncate(8 + len(text) + end)
    config = json.loads((folder / "config.json").read_bytes())
    config["vocab_size"] = config["text_config"]["vocab_size"] = rows
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize("engine", ENGINES)
def test_load_with_too_little_memory_is_refused(
    engine: str, tiny: Callable[[str], Path], talk: Callable[..., Any], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny("smolvlm"), tmp_path / "wide"))
    widen(folder)
    ask = Load(model=str(folder), local=True, engine=engine, device="cpu")  # type: ignore[arg-type]
    before = f"{LIMIT}\nimport {LIBRARY[engine]}\nlimit({ROOM})"
    output = talk([ask, Stop()], before=before)
    assert output.code == 3, output.log
    (error,) = output.named("error")
    assert error["error_class"] == "too_large", (error["message"], error["traceback"])
    assert "left to this process (RLIMIT_AS)" in error["message"]


def test_out_of_memory_in_an_oversize_load_is_reported(
    tiny: Callable[[str], Path], talk: Callable[..., Any], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny("smolvlm"), tmp_path / "wide"))
    widen(folder)
    ask = Load(
        model=str(folder), local=True, engine="transformers", device="cpu", allow_oversize=True
    )
    before = f"{LIMIT}\nimport {LIBRARY['transformers']}\nlimit({ROOM})"
    (error,) = talk([ask, Stop()], before=before).named("error")
    assert error["error_class"] == "out_of_memory", (error["message"], error["traceback"])
    assert str(folder) in error["hint"]


@pytest.mark.parametrize("engine", ENGINES)
def test_oversized_weights_are_refused_before_reading(
    engine: str, tiny: Callable[[str], Path], talk: Callable[..., Any], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny("smolvlm"), tmp_path / "huge"))
    widen(folder, 10**9)
    size = (folder / "model.safetensors").stat().st_size
    assert size > 200e9
    # as float32 in the file, so half as much in bfloat16
    ask = Load(model=str(folder), local=True, engine=engine, dtype="bfloat16", device="cpu")  # type: ignore[arg-type]
    before = f"import {LIBRARY[engine].partition(',')[0]}"
    output = talk([ask, Stop()], before=before)
    (error,) = output.named("error")
    assert error["error_class"] == "too_large", (error["message"], error["traceback"])
    needed, left = (int(word.replace(",", "")) for word in NUMBER.findall(error["message"]))
    assert size / 2 - 1e6 < needed < size / 2 + 1e6
    assert left < psutil.virtual_memory().total
    assert "allow_oversize" in error["hint"]
    assert error["at_s"] - output.named("started")[0]["at_s"] < 10  # before any of it is read


@pytest.mark.parametrize("engine", ENGINES)
def test_missing_engine_is_reported(
    engine: str, tiny: Callable[[str], Path], talk: Callable[..., Any]
) -> None:
    ask = Load(model=str(tiny("smolvlm")), local=True, engine=engine)  # type: ignore[arg-type]
    (error,) = talk([ask], before=HIDE).named("error")
    assert error["error_class"] == "missing_package"
    assert f"pip install 'vlmsweep[{engine}]'" in error["hint"]


def hub_says(error: Exception, monkeypatch: pytest.MonkeyPatch) -> Error:
    """Returns the worker's report when the hub library raises this."""
    import huggingface_hub

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    emitted: list[Event] = []
    line = json.dumps(asdict(Load(model="someone/model", local=False))).encode() + b"\n"
    serve(io.BytesIO(line), emitted.append)
    (failed,) = [event for event in emitted if isinstance(event, Error)]
    return failed


def test_gated_model_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import GatedRepoError

    # Without the response, which is of a class of the hub's HTTP library.
    failed = hub_says(GatedRepoError.__new__(GatedRepoError, "Access is restricted"), monkeypatch)
    assert failed.error_class == "gated"
    assert failed.hint
    assert "https://huggingface.co/someone/model" in failed.hint
    assert "hf auth login" in failed.hint


def test_model_that_does_not_exist_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub.errors import RepositoryNotFoundError

    error = RepositoryNotFoundError.__new__(RepositoryNotFoundError, "404 Client Error")
    failed = hub_says(error, monkeypatch)
    assert (failed.error_class, "someone/model" in str(failed.hint)) == ("not_found", True)
