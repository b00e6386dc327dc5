"""Every fault of files has its class, found without a model library."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workers.checkpoint import read_checkpoint
from workers.error_classes import WorkerFailure

CONFIG = {"model_type": "smolvlm", "architectures": ["X"], "auto_map": {"AutoModel": "m.X"}}
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 999\n"


def tensors(data: int = 8, metadata: dict[str, str] | None = None, **more: Any) -> bytes:
    """A safetensors file of one tensor, `data` bytes long."""
    tensor = {"dtype": "U8", "shape": [data], "data_offsets": [0, data]}
    header: dict[str, Any] = {"a": tensor, **more}
    if metadata:
        header["__metadata__"] = metadata
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors").write_bytes(tensors(metadata={"format": "pt"}))
    return tmp_path


def index(folder: Path, *shards: str) -> None:
    (folder / "model.safetensors").unlink()
    names = {f"w{number}": shard for number, shard in enumerate(shards)}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))


def test_checkpoint_facts_are_read(folder: Path) -> None:
    found = read_checkpoint(folder, commit="c", source="a/b")
    assert (found.model_type, found.architectures) == ("smolvlm", ("X",))
    assert found.auto_map == {"AutoModel": "m.X"}
    assert found.weights == {"model.safetensors": (folder / "model.safetensors").stat().st_size}
    assert list(found.files) == ["config.json", "model.safetensors"]
    assert found.weights_format is None


def test_links_into_a_hub_cache_are_accepted(folder: Path, tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    (folder / "model.safetensors").rename(blob)
    (folder / "model.safetensors").symlink_to(blob)
    assert read_checkpoint(folder).weights


def test_shards_are_checked(folder: Path) -> None:
    index(folder, "1.safetensors", "2.safetensors")
    for name in ("1.safetensors", "2.safetensors"):
        (folder / name).write_bytes(tensors())
    assert list(read_checkpoint(folder).weights) == ["1.safetensors", "2.safetensors"]


@pytest.mark.parametrize("how", ["format", "quantization"])
def test_mlx_weights_are_recognised(folder: Path, how: str) -> None:
    if how == "format":
        (folder / "model.safetensors").write_bytes(tensors(metadata={"format": "mlx"}))
    else:
        config = {**CONFIG, "quantization": {"group_size": 64, "bits": 4}}
        (folder / "config.json").write_text(json.dumps(config))
    assert read_checkpoint(folder).weights_format == "mlx"


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def _only_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"x")


def _put(name: str, data: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(data)


def _fifo(folder: Path) -> None:
    (folder / "config.json").unlink()
    os.mkfifo(folder / "config.json")


FAULTS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no config": ("bad_config", lambda folder: (folder / "config.json").unlink()),
    "config cut off": ("bad_config", _put("config.json", b'{"model_type": ')),
    "config a list": ("bad_config", _put("config.json", b"[]")),
    "config not text": ("bad_config", _put("config.json", b"\xff\xfe\x00")),
    "config nested too deep": ("bad_config", _put("config.json", b'{"a":' * 100_000)),
    "config a pointer": ("bad_config", _put("config.json", POINTER)),
    "config a pipe": ("bad_config", _fifo),
    "tokenizer a pointer": ("bad_tokenizer", _put("tokenizer.json", POINTER)),
    "tokenizer config broken": ("bad_tokenizer", _put("tokenizer_config.json", b"{")),
    "processor broken": ("bad_processor", _put("preprocessor_config.json", b"{")),
    "pointer": ("pointer_only_weights", _put("model.safetensors", POINTER)),
    "truncated": ("corrupt_weights", _truncate),
    "one byte too many": ("corrupt_weights", _put("model.safetensors", tensors() + b"x")),
    "empty": ("corrupt_weights", _put("model.safetensors", b"")),
    "an error page": ("corrupt_weights", _put("model.safetensors", b"<!doctype html>" * 9)),
    "header of 2**60 bytes": (
        "corrupt_weights",
        _put("model.safetensors", struct.pack("<Q", 1 << 60) + b"{}"),
    ),
    "header no JSON": (
        "corrupt_weights",
        _put("model.safetensors", struct.pack("<Q", 2) + b"{x"),
    ),
    "header of odd tensors": ("corrupt_weights", _put("model.safetensors", tensors(b=3))),
    "no weights": ("missing_shards", lambda folder: (folder / "model.safetensors").unlink()),
    "a shard missing": ("missing_shards", lambda folder: index(folder, "1.safetensors")),
    "a shard outside": ("corrupt_weights", lambda folder: index(folder, "../x.safetensors")),
    "a shard with a path": ("corrupt_weights", lambda folder: index(folder, "/etc/passwd")),
    "only a pickle": ("pickle_not_allowed", _only_pickle),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_checkpoint_faults_are_reported(folder: Path, fault: str) -> None:
    error_class, make = FAULTS[fault]
    make(folder)
    with pytest.raises(WorkerFailure) as failure:
        read_checkpoint(folder)
    assert failure.value.error_class == error_class
    assert failure.value.hint


def test_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(WorkerFailure) as failure:
        read_checkpoint(tmp_path / "nowhere")
    assert failure.value.error_class == "not_found"


def test_allowed_pickle_is_loaded(folder: Path) -> None:
    _only_pickle(folder)
    assert list(read_checkpoint(folder, allow_pickle=True).weights) == ["pytorch_model.bin"]
