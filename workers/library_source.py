"""Facts about the installed model libraries, read from their source without importing them.

The files are found where Python would import them from. A fact is None or empty if a version is
laid out differently: then it is found when the model is loaded.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from pathlib import Path

MODELS = "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES"
PAIR = re.compile(r"""\(\s*["']([\w.-]+)["']\s*,""")
VIDEO = "video_processor"


@functools.cache
def package_folder(package: str) -> Path | None:
    """The folder of an installed package, or None."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def read_source(package: str, *parts: str) -> str:
    """A source file of an installed package; empty if there is none."""
    folder = package_folder(package)
    try:
        return folder.joinpath(*parts).read_text(encoding="utf-8") if folder else ""
    except (OSError, ValueError):
        return ""


@functools.cache
def transformers_types() -> frozenset[str]:
    """Each `model_type` that AutoModelForImageTextToText loads; empty if unknown."""
    text = read_source("transformers", "models", "auto", "modeling_auto.py")
    _, found, rest = text.partition(f"\n{MODELS} = OrderedDict(")
    return frozenset(PAIR.findall(rest.partition("\n)")[0])) if found else frozenset()


def known_to_transformers(model_type: str) -> bool | None:
    """Whether the installed transformers loads such models from images and text; None: unknown."""
    types = transformers_types()
    return model_type in types if types else None


@functools.cache
def mlx_aliases() -> dict[str, str]:
    """Each `model_type` that mlx-vlm loads by another one's code."""
    text = read_source("mlx_vlm", "utils.py")
    _, found, rest = text.partition("\nMODEL_REMAPPING = {")
    try:
        value = ast.literal_eval("{" + rest.partition("\n}")[0] + "}") if found else {}
    except (ValueError, SyntaxError):
        return {}
    return {str(key): str(name) for key, name in value.items()}


def known_to_mlx(model_type: str, architectures: tuple[str, ...] = ()) -> bool | None:
    """Whether the installed mlx-vlm has code for such models; None: unknown."""
    folder = package_folder("mlx_vlm")
    if folder is None or not (folder / "models").is_dir() or not mlx_aliases():
        return None
    name = mlx_aliases().get(model_type, model_type)
    if (folder / "models" / name).is_dir() or (folder / "models" / f"{name}.py").is_file():
        return True
    utils = read_source("mlx_vlm", "utils.py")
    return None if any(f'"{one}"' in utils for one in architectures) else False


def processor_needs_video(model_type: str, processor: str | None) -> bool:
    """Whether a transformers processor cannot be made without its video processor."""
    for path in model_sources(model_type, "processing_*.py"):
        tree = ast.parse(path.read_bytes())
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name == processor:
                return any(requires_argument(part, VIDEO) for part in node.body)
    return False


def requires_argument(node: ast.AST, name: str) -> bool:
    """Whether this is an `__init__` with an argument of that name that has no default."""
    if not isinstance(node, ast.FunctionDef) or node.name != "__init__":
        return False
    arguments = [one.arg for one in (*node.args.posonlyargs, *node.args.args)]
    required = arguments[: len(arguments) - len(node.args.defaults)]
    return name in required


def image_processor_needs_torchvision(model_type: str, image_processor: str | None) -> bool:
    """Whether the model's image processor has no form that does without torchvision."""
    wanted = (image_processor or "").removesuffix("Fast")
    text = "".join(
        path.read_text(encoding="utf-8", errors="replace")
        for path in model_sources(model_type, "image_processing_*.py")
    )
    if not wanted or f"class {wanted}Pil(" in text:
        return False
    return re.search(rf"^class {re.escape(wanted)}\(TorchvisionBackend\)", text, re.M) is not None


def model_sources(model_type: str, pattern: str) -> list[Path]:
    """The source files of a model in the installed transformers."""
    folder = package_folder("transformers")
    name = re.sub(r"\W", "_", model_type)
    return sorted((folder / "models" / name).glob(pattern)) if folder and name else []
