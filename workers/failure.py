"""Failures with a name: what went wrong, in a class that SQL can group by, and what to do.

`WorkerFailure` is raised where we know the reason ourselves; `classify` reads the reasons out
of other people's exceptions, by the names of their types and by their messages, so that no
library has to be imported for it. Nothing here decides what happens next.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from schemas.errors import ErrorClass
from schemas.events import WorkerPhase


class WorkerFailure(Exception):
    """A failure whose class is known. `hint` is one sentence that says what to do."""

    def __init__(self, error_class: ErrorClass, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.error_class: ErrorClass = error_class
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Rule:
    """Matches where `kind` finds a type's name in the exception's line of descent, and
    `words` something in its message. Empty means any.
    """

    error_class: ErrorClass
    hint: str
    kind: str = ""
    words: str = ""
    phases: tuple[WorkerPhase, ...] = ()


_FETCHING: tuple[WorkerPhase, ...] = ("download",)
_LOADING: tuple[WorkerPhase, ...] = ("load", "download")

# The first that matches counts, so the narrow ones stand before the wide ones.
RULES = (
    Rule(
        "out_of_memory",
        "Use a smaller model or picture, a smaller dtype, or another device.",
        words=r"out of memory|can't allocate memory|not enough memory|\[metal::malloc\]"
        r"|\[malloc_or_wait\]|Cannot allocate memory|std::bad_alloc",
    ),
    Rule(
        "out_of_memory",
        "Use a smaller model or picture, or close other programs.",
        kind=r"^(MemoryError|OutOfMemoryError)$",
    ),
    Rule(
        "gated",
        "Accept the model's terms on its hub page, then `hf auth login` or set HF_TOKEN.",
        kind=r"^GatedRepoError$",
    ),
    Rule("gated", "Accept the model's terms, then `hf auth login`.", words=r"\bgated repo"),
    Rule(
        "not_found",
        "Check the id (and the revision); a private model needs `hf auth login`.",
        kind=r"^(RepositoryNotFoundError|RevisionNotFoundError|HFValidationError)$",
    ),
    Rule(
        "not_in_cache",
        "Fetch it first: `hf download ID`, with HF_HUB_OFFLINE unset.",
        kind=r"^(LocalEntryNotFoundError|OfflineModeIsEnabled)$",
    ),
    Rule(
        "network",
        "Check the connection and try again; what was fetched is kept.",
        kind=r"^(HfHubHTTPError|ConnectError|ConnectionError|TimeoutException|ProxyError)$",
    ),
    Rule("network", "Check the connection and try again.", kind="^OSError$", phases=_FETCHING),
    Rule(
        "remote_code_not_allowed",
        "If you trust its authors, set trust_remote_code for this model and pin its revision.",
        words=r"trust_remote_code|execute custom code",
    ),
    Rule(
        "unknown_architecture",
        "A newer transformers may know it: pip install -U transformers.",
        words=r"does not recognize this architecture|Unrecognized (model|configuration class)"
        r"|Model type .* not supported",
    ),
    Rule(
        "corrupt_weights",
        "Fetch the weights again: `hf download ID --force-download`.",
        kind=r"^SafetensorError$",
    ),
    Rule(
        "corrupt_weights",
        "Fetch the weights again: `hf download ID --force-download`.",
        words=r"\[load_safetensors\]",
    ),
    Rule(
        "missing_weights",
        "The checkpoint does not fit its config; fetch it again or use another revision.",
        words=r"size mismatch|shape mismatch|ignore_mismatched_sizes|Missing \d+ parameters"
        r"|\d+ parameters not in model|Expected shape .* but received shape",
    ),
    Rule("bad_template", "The chat template is broken.", kind=r"^Template\w*Error$"),
    Rule(
        "bad_processor",
        "Check preprocessor_config.json and processor_config.json.",
        words=r"Unrecognized (image processor|processing class|feature extractor)"
        r"|[Cc]an't load (image processor|feature extractor|processor)|preprocessor_config",
    ),
    Rule(
        "bad_tokenizer",
        "Check tokenizer.json and tokenizer_config.json; fetch them again.",
        words=r"[Tt]okenizer| at line \d+ column \d+$",
        phases=_LOADING,
    ),
    Rule(
        "bad_config",
        "Check config.json.",
        kind=r"^(StrictDataclass\w*|JSONDecodeError)$",
        phases=_LOADING,
    ),
    Rule(
        "bad_config",
        "config.json lacks what this engine needs; try the other engine.",
        words=r"Config\.__init__\(\) missing \d+ required",
        phases=_LOADING,
    ),
    Rule(
        "unsupported_device",
        "Choose another device: cpu always works.",
        words=r"Torch not compiled with CUDA|Found no NVIDIA|invalid device (ordinal|string)"
        r"|Expected one of cpu, cuda|not currently implemented for the MPS",
    ),
    Rule(
        "unsupported_dtype",
        "Choose another dtype: float32 always works.",
        words=r"not implemented for '(Half|BFloat16)'|does not support (bfloat16|float64)"
        r"|[Uu]nsupported dtype",
    ),
    Rule(
        "too_long",
        "Use smaller pictures or a shorter prompt.",
        words=r"longer than the (specified )?maximum|exceeds? the (model's )?maximum",
    ),
    Rule("bad_image", "Open the picture elsewhere to check it.", kind=r"^UnidentifiedImageError$"),
)

_PACKAGE = (
    re.compile(r"pip install (?:-U |--upgrade )?([A-Za-z0-9._ -]+)"),
    re.compile(r"packages that were not found in your environment: ([\w., -]+)"),
    re.compile(r"requires the (\S+) library"),
    re.compile(r"No module named '([\w.]+)'"),
)


def classify(error: BaseException, phase: WorkerPhase) -> WorkerFailure:
    """The exception as a `WorkerFailure`; class `internal` where nothing is known of it."""
    if isinstance(error, WorkerFailure):
        return error
    message = str(error) or type(error).__name__
    names = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, ImportError):
        return _missing_package(error, message)
    for rule in RULES:
        if rule.phases and phase not in rule.phases:
            continue
        kind = not rule.kind or any(re.search(rule.kind, name) for name in names)
        if kind and (not rule.words or re.search(rule.words, message)):
            return WorkerFailure(rule.error_class, message, rule.hint)
    return WorkerFailure("internal", message)


def _missing_package(error: ImportError, message: str) -> WorkerFailure:
    found = (pattern.search(message) for pattern in _PACKAGE)
    text = next((match[1] for match in found if match), error.name or "")
    packages = re.split(r"[\s,]+", text.strip(" .,").lower().replace("'", ""))
    names = " ".join(name.partition(".")[0].strip("`") for name in packages if name)
    if not names or "cannot import name" in message:
        hint = "A library is of another version than the code expects, or half installed."
        return WorkerFailure("missing_package", message, hint)
    hint = f"Install it where the worker runs: {sys.executable} -m pip install {names}"
    return WorkerFailure("missing_package", message, hint)
