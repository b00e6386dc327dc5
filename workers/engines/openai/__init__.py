"""The `openai` engine: asks a server that speaks OpenAI's chat protocol; loads nothing itself."""

from .engine import OpenAIEngine

__all__ = ["OpenAIEngine"]
