"""The registry of engines: one `EngineInfo` each, read by the supervisor and by the workers.

It holds facts only and imports no engine. Other packages add an engine by an entry point in the
group `vlmsweep.engines` that names an `EngineInfo`; its module is imported by the
supervisor too, so that it must import no model library.
"""

from __future__ import annotations

import functools
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points

AUTO = "auto"  # the engine is chosen when the model's files are known
GROUP = "vlmsweep.engines"
TORCH_DEVICES = """
import json, torch
devices = ["cpu"]
for i in range(torch.cuda.device_count()):
    devices.append(f"cuda:{i} ({torch.cuda.get_device_name(i)})")
if torch.backends.mps.is_available():
    devices.append("mps")
print(json.dumps(devices))
"""
MLX_DEVICES = """
import json, mlx.core as mx
print(json.dumps([str(mx.default_device())]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInfo:
    """Facts about one engine, without importing it.

    `implementation` is "module:Class" of the worker's `Engine`. `packages` are import names it
    needs; `libraries` the distributions whose versions are shown, the one that runs models first
    and the one that computes last; `extra` is the extra of vlmsweep that installs them.

    A `remote` engine asks a server: nothing is fetched, no folder is read, no memory here is
    taken. `tracker` is where its library's bugs are reported. `reproduction` is
    "module:function" of the supervisor's side that writes a program for a bug report, from a
    `RunRecord` to a list of lines. `writes_loading_code`: a few lines load its models, so
    that the loading guide may show them.

    `weights_format` names the format of weights that this engine alone loads. `platforms` are the
    systems and machines on which it may be chosen unasked; empty means all. `device_program` is
    a Python program that prints its devices as a JSON list. `runs_model_code`: it can
    run Python that a checkpoint brings; `unified_memory`: weights take the machine's memory.

    `quantisations` are the `quant_method`s of checkpoints quantised for transformers that it
    loads; None means all that its library has packages for.
    """

    name: str
    implementation: str
    packages: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()
    extra: str | None = None
    remote: bool = False
    tracker: str | None = None
    reproduction: str | None = None
    writes_loading_code: bool = False
    weights_format: str | None = None
    platforms: tuple[tuple[str, str], ...] = ()
    device_program: str | None = None
    runs_model_code: bool = False
    unified_memory: bool = False
    quantisations: tuple[str, ...] | None = None


BUILT_IN = (
    EngineInfo(
        name="transformers",
        implementation="workers.engines.transformers:TransformersEngine",
        packages=("torch", "transformers", "huggingface_hub", "safetensors", "PIL"),
        libraries=("transformers", "torch"),
        extra="transformers",
        tracker="https://github.com/huggingface/transformers/issues/new",
        reproduction="runner.bug_report.repro_transformers:transformers_program",
        writes_loading_code=True,
        device_program=TORCH_DEVICES,
        runs_model_code=True,
    ),
    EngineInfo(
        name="mlx",
        implementation="workers.engines.mlx:MlxEngine",
        packages=("mlx", "mlx_vlm", "PIL"),
        libraries=("mlx-vlm", "mlx"),
        extra="mlx",
        tracker="https://github.com/Blaizzy/mlx-vlm/issues/new",
        reproduction="runner.bug_report.repro_mlx:mlx_program",
        weights_format="mlx",
        platforms=(("darwin", "arm64"),),
        device_program=MLX_DEVICES,
        unified_memory=True,
        quantisations=("compressed-tensors", "fp8", "modelopt", "mxfp4"),  # it converts these
    ),
    EngineInfo(
        name="openai",
        implementation="workers.engines.openai:OpenAIEngine",
        remote=True,
        reproduction="runner.bug_report.repro_openai:openai_program",
    ),
)
DEFAULT = BUILT_IN[0].name  # where nothing says otherwise


@functools.cache
def engines() -> Mapping[str, EngineInfo]:
    """All engines by name: the built-in ones, then those of other packages.

    Raises TypeError for an entry point that names no `EngineInfo`, and ValueError for a name that
    is taken.
    """
    known = {info.name: info for info in BUILT_IN}
    for point in entry_points(group=GROUP):
        info = point.load()
        if not isinstance(info, EngineInfo):
            raise TypeError(f"entry point {point.name!r} of {GROUP} names no EngineInfo")
        if info.name in known or info.name == AUTO:
            raise ValueError(f"entry point {point.name!r} of {GROUP}: {info.name!r} is taken")
        known[info.name] = info
    return known


def engine_info(name: str) -> EngineInfo:
    """An engine's facts; of `auto`, the default engine's. Raises KeyError for an unknown name."""
    return engines()[DEFAULT if name == AUTO else name]


def engine_choices() -> tuple[str, ...]:
    """The values a user may choose: `auto`, or an engine's name."""
    return (AUTO, *engines())


def is_remote(name: object) -> bool:
    """Whether an engine asks a server. An unknown name, or None, is not remote."""
    info = engines().get(str(name))
    return info is not None and info.remote


def remote_engines() -> tuple[str, ...]:
    """The names of the engines that ask a server."""
    return tuple(name for name, info in engines().items() if info.remote)


def check_engine(name: str) -> str:
    """The name, if a user may ask for it. Raises ValueError."""
    if name not in engine_choices():
        *most, last = map(repr, engine_choices())
        raise ValueError(f"Input should be {', '.join(most)} or {last}")
    return name


def may_be_chosen(info: EngineInfo) -> bool:
    """Whether an engine may be chosen unasked on this system."""
    return not info.platforms or (sys.platform, platform.machine()) in info.platforms
