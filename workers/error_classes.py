"""Classified failures: an error class that SQL can group by, a message, and a hint.

`WorkerFailure` is raised where we know the reason ourselves; `classify` reads the reasons out
of other people's exceptions, by the names of their types and by their messages, so that no
library has to be imported for it. Nothing here decides what happens next.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from schemas.commands import Load
from schemas.errors import ErrorClass
from schemas.events import ServerState, WorkerPhase
from schemas.shared.packages import MissingPackages, install_command


class WorkerFailure(Exception):
    """A failure whose class is known. `hint` is one sentence on how to fix it.

    `requeue`, `server_state` and `retry_after_s` are described at `schemas.events.Error`. `text`,
    `reasoning` and `notes` belong to an answer that is complete although the run failed.
    """

    text: str | None = None
    reasoning: str | None = None

    def __init__(
        self,
        error_class: ErrorClass,
        message: str,
        hint: str | None = None,
        *,
        requeue: bool = False,
        server_state: ServerState | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.error_class: ErrorClass = error_class
        self.message = message
        self.hint = hint
        self.requeue = requeue
        self.server_state = server_state
        self.retry_after_s = retry_after_s
        self.notes: list[str] = []
        self.waited_s: float | None = None


@dataclass(frozen=True, slots=True)
class ErrorRule:
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

# The first that matches counts, so the narrow ones come before the wide ones. In hints, {model}
# is the requested id or path, and {again} how to fetch its files again.
RULES = (
    # First, since a template may raise any words of its own.
    ErrorRule(
        "bad_template",
        "Fix the chat template of {model}, or use another revision.",
        kind=r"^Template\w*Error$",
    ),
    ErrorRule(
        "unsupported",
        "Crop or pad the image, or leave it out of the sweep: {model} refuses an image this long.",
        words=r"absolute aspect ratio must be smaller than|aspect ratio is very extreme",
    ),
    ErrorRule(
        "unsupported",
        "Enlarge the image, or leave it out of the sweep: {model} refuses an image this small.",
        words=r"height:? ?\d+ (or|and) width:? ?\d+ must be larger than factor",
    ),
    ErrorRule(
        "out_of_memory",
        "Use a smaller model or image, a smaller dtype, or another device for {model}.",
        words=r"out of memory|can't allocate memory|not enough memory|\[metal::malloc\]"
        r"|\[malloc_or_wait\]|Cannot allocate memory|[Uu]nable to allocate|std::bad_alloc"
        r"|unable to mmap",
    ),
    ErrorRule(
        "out_of_memory",
        "Use a smaller model than {model} or smaller images, or close other programs.",
        kind=r"^(MemoryError|OutOfMemoryError)$",
    ),
    ErrorRule(
        "gated",
        "Accept the terms at https://huggingface.co/{model}, then `hf auth login` or set HF_TOKEN.",
        kind=r"^GatedRepoError$",
    ),
    # For a missing repository the hub reports that it may be gated.
    ErrorRule(
        "not_found",
        "Check the id {model} (and the revision); a private model needs `hf auth login`.",
        kind=r"^(RepositoryNotFoundError|RevisionNotFoundError|HFValidationError)$",
    ),
    ErrorRule(
        "gated",
        "Accept the terms at https://huggingface.co/{model}, then `hf auth login` or set HF_TOKEN.",
        words=r"\bgated repo",
    ),
    ErrorRule(
        "not_in_cache",
        "Fetch it with the network on: `HF_HUB_OFFLINE=0 hf download {model}`.",
        kind=r"^(LocalEntryNotFoundError|OfflineModeIsEnabled)$",
    ),
    ErrorRule(
        "network",
        "Check the connection and try again; what was fetched of {model} is kept.",
        kind=r"^(HfHubHTTPError|ConnectError|ConnectionError|TimeoutException|ProxyError)$",
    ),
    ErrorRule("network", "Check the connection and try again.", kind="^OSError$", phases=_FETCHING),
    ErrorRule(
        "remote_code_not_allowed",
        "If you trust the authors of {model}, set trust_remote_code for it and pin its revision.",
        words=r"trust_remote_code|execute custom code",
    ),
    ErrorRule(
        "unknown_architecture",
        "A newer transformers may know {model}: `pip install -U transformers`.",
        words=r"does not recognize this architecture|Unrecognized (model|configuration class)",
    ),
    ErrorRule(
        "unknown_architecture",
        "A newer mlx-vlm may know {model}, or the transformers engine does.",
        words=r"Model type .* not supported",
    ),
    ErrorRule(
        "unsupported_dtype",
        "Use weights of another type than these of {model}, or update safetensors and the engine.",
        words=r"unknown variant `|\[safetensors?\] unsupported dtype",
    ),
    ErrorRule("corrupt_weights", "{again}", kind=r"^SafetensorError$"),
    ErrorRule("corrupt_weights", "{again}", words=r"\[load_safetensors\]"),
    ErrorRule(
        "missing_weights",
        "The weights do not belong to the config.json of {model}; {again}",
        words=r"size mismatch|shape mismatch|ignore_mismatched_sizes|Missing \d+ parameters"
        r"|\d+ parameters not in model|Expected shape .* but received shape",
    ),
    ErrorRule(
        "bad_processor",
        "Check preprocessor_config.json and processor_config.json of {model}.",
        words=r"Unrecognized (image processor|processing class|feature extractor)"
        r"|[Cc]an't load (image processor|feature extractor|processor)|preprocessor_config",
    ),
    ErrorRule(
        "bad_tokenizer",
        "Check tokenizer.json and tokenizer_config.json of {model}, or fetch them again.",
        words=r"[Tt]okenizer| at line \d+ column \d+$",
        phases=_LOADING,
    ),
    # The other JSON files were read before any library saw them.
    ErrorRule(
        "bad_tokenizer",
        "Check tokenizer.json of {model}, or fetch it again.",
        kind=r"^(UnicodeDecodeError|JSONDecodeError)$",
        phases=_LOADING,
    ),
    ErrorRule(
        "bad_config",
        "Compare config.json of {model} with the published one, or use another engine.",
        kind=r"^(StrictDataclass\w*|ZeroDivisionError)$",
        phases=_LOADING,
    ),
    ErrorRule(
        "bad_config",
        "Compare config.json of {model} with the published one, or use the transformers engine.",
        words=r"Config\.__init__\(\) missing \d+ required positional",
        phases=_LOADING,
    ),
    ErrorRule(
        "unsupported_device",
        "Choose another device for {model}: cpu always works.",
        words=r"Torch not compiled with CUDA|Found no NVIDIA|invalid device (ordinal|string)"
        r"|Expected one of cpu, cuda|not currently implemented for the MPS",
    ),
    ErrorRule(
        "unsupported_dtype",
        "Choose another dtype for {model}: float32 always works.",
        words=r"not implemented for '(Half|BFloat16)'|does not support (bfloat16|float64)"
        r"|[Uu]nsupported dtype",
    ),
    ErrorRule(
        "too_long",
        "Use smaller images or a shorter prompt for {model}.",
        words=r"longer than the (specified )?maximum|exceeds? the (model's )?maximum",
    ),
    ErrorRule(
        "bad_image",
        "Open the image elsewhere to check it, or leave it out of the sweep.",
        kind=r"^UnidentifiedImageError$",
    ),
)

INTERNAL = "Look at the traceback, and try another engine or version of its library for {model}."
_PACKAGE = (
    re.compile(r"pip install (?:-U |--upgrade )?([A-Za-z0-9._ -]+)"),
    re.compile(r"packages that were not found in your environment: ([\w., -]+)"),
    re.compile(r"requires the (\S+) library"),
    re.compile(r"requires `(\S+)` to be installed"),
    re.compile(r"No module named '([\w.]+)'"),
)


def classify(error: BaseException, phase: WorkerPhase, ask: Load | None = None) -> WorkerFailure:
    """The exception as a `WorkerFailure`; class `internal` if no rule matches.

    `ask` names the model in hints.
    """
    failure = error if isinstance(error, WorkerFailure) else _classify(error, phase)
    failure.hint = fill_hint(failure.hint, ask)
    return failure


@contextmanager
def classify_unknown_as(error_class: ErrorClass, hint: str) -> Iterator[None]:
    """Give loading errors inside that match no rule this class."""
    try:
        yield
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OSError) as error:
        if classify(error, "load").error_class != "internal":
            raise
        raise WorkerFailure(error_class, f"{type(error).__name__}: {error}", hint) from error


def fill_hint(hint: str | None, ask: Load | None) -> str | None:
    """The hint with the model's real id or path in it; as it is where nobody knows them yet."""
    if hint is None or ask is None:
        return hint
    model = ask.model
    if ask.local:
        again = f"copy the files of {model} once more, or run `git lfs pull` there."
    else:
        revision = f" --revision {ask.revision}" if ask.revision else ""
        again = f"fetch it again: `hf download {model}{revision} --force-download`."
    whole = again[0].upper() + again[1:] if hint.startswith("{again}") else again
    return hint.replace("{model}", model).replace("{again}", whole)


def _classify(error: BaseException, phase: WorkerPhase) -> WorkerFailure:
    message = str(error) or type(error).__name__
    names = [kind.__name__ for kind in type(error).__mro__]
    if isinstance(error, ImportError) or _PACKAGE[3].search(message):
        return _missing_package(error, message)
    for rule in RULES:
        if rule.phases and phase not in rule.phases:
            continue
        kind = not rule.kind or any(re.search(rule.kind, name) for name in names)
        if kind and (not rule.words or re.search(rule.words, message)):
            return WorkerFailure(rule.error_class, message, rule.hint)
    return WorkerFailure("internal", message, INTERNAL)


def _missing_package(error: BaseException, message: str) -> WorkerFailure:
    found = (pattern.search(message) for pattern in _PACKAGE)
    text = next((match[1] for match in found if match), getattr(error, "name", None) or "")
    packages = re.split(r"[\s,]+", text.strip(" .,").lower().replace("'", ""))
    modules = [name.partition(".")[0].strip("`") for name in packages if name]
    modules = ["PIL" if name == "pil" else name for name in modules]
    if not modules or "cannot import name" in message:
        hint = "Install the versions of its libraries that {model} expects, where the worker runs."
        return WorkerFailure("missing_package", message, hint)
    command = install_command([MissingPackages("", tuple(modules))], sys.executable)
    hint = f"Install it where the worker runs: {command}"
    return WorkerFailure("missing_package", message, hint)
