"""Other people's exceptions come out as classes, with hints."""

from __future__ import annotations

from typing import Any

import pytest

from workers.error_classes import WorkerFailure, classify


def kind(name: str, base: type[Exception] = Exception) -> type[Exception]:
    """An exception as a library would define it, without the library."""
    return type(name, (base,), {})


CASES: list[tuple[str, BaseException, Any]] = [
    ("out_of_memory", MemoryError(), "generate"),
    ("out_of_memory", kind("OutOfMemoryError", RuntimeError)("CUDA out of memory."), "generate"),
    ("out_of_memory", RuntimeError("MPS backend out of memory (...)"), "generate"),
    ("out_of_memory", RuntimeError("DefaultCPUAllocator: can't allocate memory"), "load"),
    ("out_of_memory", RuntimeError("[metal::malloc] Attempting to allocate 9 bytes"), "load"),
    ("gated", kind("GatedRepoError", OSError)("403"), "download"),
    ("gated", OSError("You are trying to access a gated repo."), "download"),
    ("not_found", kind("RepositoryNotFoundError", OSError)("404"), "download"),
    ("not_in_cache", kind("LocalEntryNotFoundError", FileNotFoundError)("no"), "download"),
    ("network", kind("ConnectError")("no route"), "download"),
    ("remote_code_not_allowed", ValueError("pass trust_remote_code=True"), "load"),
    ("unknown_architecture", ValueError("does not recognize this architecture"), "load"),
    ("unknown_architecture", ValueError("Unrecognized configuration class <X>"), "load"),
    ("corrupt_weights", kind("SafetensorError")("InvalidHeaderLength"), "load"),
    ("missing_weights", RuntimeError("size mismatch for a.weight"), "load"),
    ("bad_template", kind("TemplateSyntaxError")("unexpected '}'"), "prefill"),
    ("bad_template", kind("TemplateError")("Missing 3 parameters: out of memory"), "prefill"),
    (
        "unsupported",
        ValueError("absolute aspect ratio must be smaller than 200, got 204.8"),
        "prefill",
    ),
    ("unsupported", ValueError("the aspect ratio is very extreme (1, 900)"), "prefill"),
    ("unsupported", ValueError("height:1 or width:9 must be larger than factor:28"), "prefill"),
    ("bad_processor", OSError("Can't load image processor for 'x'"), "load"),
    ("bad_tokenizer", OSError("Can't load tokenizer for 'x'"), "load"),
    ("unsupported_device", AssertionError("Torch not compiled with CUDA enabled"), "load"),
    ("unsupported_dtype", RuntimeError("\"conv\" not implemented for 'Half'"), "generate"),
    ("internal", ValueError("who knows"), "generate"),
    ("internal", SystemExit(3), "generate"),
]


@pytest.mark.parametrize(("error_class", "error", "phase"), CASES)
def test_exceptions_map_to_error_classes(
    error_class: str, error: BaseException, phase: Any
) -> None:
    failure = classify(error, phase)
    assert failure.error_class == error_class
    assert failure.message
    assert failure.hint or error_class == "internal"


@pytest.mark.parametrize(
    ("message", "packages"),
    [
        ("No module named 'num2words'", "num2words"),
        ("X requires the Torchvision library but it was not found", "torchvision"),
        (
            "This modeling file requires the following packages that were not found in your "
            "environment: einops, flash_attn. Run `pip install einops flash_attn`",
            "einops flash_attn",
        ),
        ("Package `num2words` is required. Install it with `pip install num2words`.", "num2words"),
    ],
)
def test_missing_package_is_named(message: str, packages: str) -> None:
    failure = classify(ImportError(message), "load")
    assert failure.error_class == "missing_package"
    assert failure.hint
    assert failure.hint.endswith(f"-m pip install {packages}")


def test_worker_errors_keep_their_class() -> None:
    failure = WorkerFailure("too_long", "m", "h")
    assert classify(failure, "load") is failure
