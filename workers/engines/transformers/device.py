"""The model's device and dtype, and the memory in use there.

Imports torch. The choice of dtype is recorded with its reason, for answers depend on it.
"""

from __future__ import annotations

import gc
import importlib.util
import platform

import torch

from ...engine import DeviceMemory
from ...error_classes import WorkerFailure
from ...memory_check import FreeMemory


class Device:
    """One device and dtype. `name` is torch's ("cuda:0"), `title` the maker's."""

    def __init__(self, name: str, dtype: str, dtype_reason: str) -> None:
        self.name, self.dtype_name, self.dtype_reason = name, dtype, dtype_reason
        self.kind = name.partition(":")[0]
        self.dtype = getattr(torch, dtype)
        self.title = torch.cuda.get_device_name(name) if self.kind == "cuda" else None
        self._mps_peak = 0

    @property
    def loads_directly(self) -> bool:
        """Whether weights go there without being in this process's own memory on the way."""
        return self.kind != "cpu" and importlib.util.find_spec("accelerate") is not None

    def free(self) -> FreeMemory | None:
        """A GPU's free memory; None on a CPU.

        Metal shares the machine's memory: this is the working set it recommends.
        """
        if self.kind == "cuda":
            return FreeMemory(torch.cuda.mem_get_info(self.name)[0], f"free on {self.name}")
        if self.kind == "mps":
            left = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
            return FreeMemory(left, "left of Metal's recommended maximum")
        return None

    def memory(self) -> DeviceMemory:
        """The accelerator's memory now and at its peak, in bytes; all None on a CPU."""
        if self.kind == "cuda":
            return DeviceMemory(
                allocated=torch.cuda.memory_allocated(self.name),
                reserved=torch.cuda.memory_reserved(self.name),
                peak_allocated=torch.cuda.max_memory_allocated(self.name),
                peak_reserved=torch.cuda.max_memory_reserved(self.name),
                method="torch.cuda.max_memory_allocated/reserved",
            )
        if self.kind == "mps":
            allocated = torch.mps.current_allocated_memory()
            driver = torch.mps.driver_allocated_memory()
            self._mps_peak = max(self._mps_peak, driver)
            return DeviceMemory(
                allocated=allocated,
                reserved=driver,
                peak_reserved=self._mps_peak,
                method="torch.mps.driver_allocated_memory, polled",
            )
        return DeviceMemory()

    def reset_peak(self) -> None:
        """Let the peaks start again from now."""
        self._mps_peak = 0
        if self.kind == "cuda":
            torch.cuda.reset_peak_memory_stats(self.name)

    def empty_cache(self) -> None:
        """Give back what no tensor uses any more."""
        gc.collect()
        if self.kind == "cuda":
            torch.cuda.empty_cache()
        elif self.kind == "mps":
            torch.mps.empty_cache()

    def synchronise(self) -> None:
        """Wait until the device has done all it was given."""
        if self.kind == "cuda":
            torch.cuda.synchronize(self.name)
        elif self.kind == "mps":
            torch.mps.synchronize()


def choose_device(device: str, dtype: str) -> Device:
    """The device and dtype for a request ("auto" allowed for both).

    Raises `unsupported_device` if the device is missing, and `unsupported_dtype`.
    """
    name = _choose_name(device)
    known = getattr(torch, dtype, None)
    if dtype != "auto" and not (isinstance(known, torch.dtype) and known.is_floating_point):
        raise WorkerFailure(
            "unsupported_dtype",
            f"torch {torch.__version__} has no floating type {dtype!r}",
            "Choose dtype float32, bfloat16, float16 or auto for {model}.",
        )
    if dtype != "auto":
        return Device(name, dtype, "as requested")
    return Device(name, *_choose_dtype(name.partition(":")[0]))


def _choose_name(device: str) -> str:
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return "cuda:0" if cuda else "mps" if mps else "cpu"
    kind, _, number = device.partition(":")
    here = {"cpu": True, "mps": mps, "cuda": cuda}.get(kind, False)
    if here and kind == "cuda":
        here = int(number or 0) < torch.cuda.device_count()
    if not here:
        raise WorkerFailure(
            "unsupported_device",
            f"Device {device!r} is not available to torch {torch.__version__}",
            "Choose device cpu or auto for {model}, or install a torch built for this device.",
        )
    return f"cuda:{number or 0}" if kind == "cuda" else kind


def _choose_dtype(kind: str) -> tuple[str, str]:
    if kind == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16", "auto: this GPU computes in bfloat16"
        return "float16", "auto: this GPU has no bfloat16"
    if kind == "mps":
        if int(platform.mac_ver()[0].partition(".")[0] or 0) >= 14:
            return "bfloat16", "auto: macOS 14 and later compute in bfloat16"
        return "float16", "auto: macOS before 14 has no bfloat16"
    return "float32", "auto: exact on a CPU, and mostly faster there than half precision"
