"""The mlx engine (mlx-vlm). Only `engine` may be imported before a load starts."""

from .engine import MlxEngine

__all__ = ["MlxEngine"]
