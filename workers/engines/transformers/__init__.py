"""The transformers engine. Only `engine` may be imported before a load starts."""

from .engine import TransformersEngine

__all__ = ["TransformersEngine"]
