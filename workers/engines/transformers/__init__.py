"""The transformers engine. Only `engine` may be imported before a load has begun."""

from .engine import TransformersEngine

__all__ = ["TransformersEngine"]
