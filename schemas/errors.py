"""The classes of failure a worker or the runner can name, readable, and usable in SQL."""

from __future__ import annotations

from typing import Literal

ErrorClass = Literal[
    "environment",
    "missing_package",
    "not_in_cache",
    "not_found",
    "gated",
    "network",
    "remote_code_not_allowed",
    "unknown_architecture",
    "pickle_not_allowed",
    "pointer_only_weights",
    "missing_shards",
    "corrupt_weights",
    "missing_weights",
    "bad_config",
    "bad_tokenizer",
    "bad_template",
    "bad_processor",
    "unsupported_dtype",
    "unsupported_device",
    "out_of_memory",
    "too_large",
    "bad_image",
    "image_ignored",
    "too_long",
    "unsupported",
    "excluded",
    "cancelled",
    "quarantined",
    "no_process",
    "server_error",
    "protocol",
    "internal",
]
