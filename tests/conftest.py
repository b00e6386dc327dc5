"""Fixtures shared by all tests: no network, tiny checkpoints created once per session."""

from __future__ import annotations

import importlib.util
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.helpers.paths import ROOT

# The time of an example depends on the machine's load: it is not measured.
hypothesis.settings.register_profile(
    "untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("untimed")

# Under `nohup` or in the background of a script these are ignored, and children inherit that.
for number, handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, handler)


@pytest.fixture(autouse=True, scope="session")
def _offline() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives a family's tiny checkpoint, made once a session."""
    spec = importlib.util.spec_from_file_location(
        "tiny_models", ROOT / "scripts/make_tiny_models.py"
    )
    assert spec
    assert spec.loader
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    out = tmp_path_factory.mktemp("tiny")
    made: dict[str, Path] = {}

    def give(family: str) -> Path:
        if family not in made:
            made[family] = script.make(family, out)
        return made[family]

    return give
