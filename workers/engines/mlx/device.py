"""MLX's device and dtype, and the memory in use there.

Imports mlx but not mlx-vlm, which makes its stream on the default device when it is imported:
the device has to be chosen before that.
"""

from __future__ import annotations

import gc
from importlib.metadata import version

import mlx.core as mx

from ...engine import DeviceMemory
from ...error_classes import WorkerFailure
from ...memory_check import FreeMemory


class Device:
    """MLX's default device. `name` is as in the transformers engine: cpu, mps or cuda:0."""

    def __init__(self, name: str) -> None:
        self.name = name
        title = mx.device_info().get("device_name")
        self.title = None if title is None else str(title)
        self._reserved_peak = 0

    def free(self) -> FreeMemory | None:
        """A GPU's free memory as MLX reports it; None on a CPU.

        Metal shares the machine's memory: this is the working set it recommends.
        """
        if self.name == "cpu":
            return None
        facts = mx.device_info()
        most = facts.get("free_memory", facts.get("max_recommended_working_set_size"))
        return None if most is None else FreeMemory(int(most), f"free on {self.name}")

    def memory(self) -> DeviceMemory:
        """MLX's memory now and at its peak, in bytes; also counted on a CPU."""
        active = mx.get_active_memory()
        reserved = active + mx.get_cache_memory()
        self._reserved_peak = max(self._reserved_peak, reserved)
        return DeviceMemory(
            allocated=active,
            reserved=reserved,
            peak_allocated=mx.get_peak_memory(),
            peak_reserved=max(self._reserved_peak, mx.get_peak_memory()),
            method="mlx.core.get_peak_memory; reserved: with get_cache_memory, polled",
        )

    def reset_peak(self) -> None:
        """Let the peaks start again from now."""
        self._reserved_peak = 0
        mx.reset_peak_memory()

    def empty_cache(self) -> None:
        """Give back what no array uses any more."""
        gc.collect()
        mx.clear_cache()

    def dtype(self, asked: str, own: str) -> tuple[str, str]:
        """The dtype to compute in and why; `own` is the checkpoint's."""
        if asked != "auto":
            known = getattr(mx, asked, None)
            if not (isinstance(known, mx.Dtype) and mx.issubdtype(known, mx.floating)):
                raise WorkerFailure(
                    "unsupported_dtype",
                    f"mlx {version('mlx')} has no floating type {asked!r}",
                    "Choose dtype float32, bfloat16, float16 or auto for {model}.",
                )
            return asked, "as requested"
        if self.name == "cpu" and own != "float32":
            return "float32", "auto: exact on a CPU, and mostly faster there than half precision"
        return own, "auto: as in the checkpoint"


def choose_device(asked: str) -> Device:
    """Make the requested device MLX's default ("auto" keeps it).

    Raises `unsupported_device` if it is missing.
    """
    kind, _, number = asked.partition(":")
    metal, cuda = mx.metal.is_available(), _cuda_is_available()
    if not {"auto": True, "cpu": True, "mps": metal, "cuda": cuda}.get(kind, False):
        raise WorkerFailure(
            "unsupported_device",
            f"Device {asked!r} is not available to mlx {version('mlx')}",
            "Choose device cpu or auto for {model}.",
        )
    if kind != "auto":
        mx.set_default_device(mx.Device(mx.cpu if kind == "cpu" else mx.gpu, int(number or 0)))
    if mx.default_device().type == mx.cpu:
        return Device("cpu")
    return Device("mps" if metal else f"cuda:{number or 0}")


def _cuda_is_available() -> bool:
    cuda = getattr(mx, "cuda", None)  # MLX before 0.29 knows no CUDA
    return cuda is not None and bool(cuda.is_available())
