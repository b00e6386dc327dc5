"""Models behind a server: what the `openai` engine can do. No checkpoint belongs to it."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.family import Family

FAMILY = Family(
    name="server",
    title="Any model behind an OpenAI-compatible server",
    engines=("openai",),
    official_use="POST {url}/chat/completions of Ollama, LM Studio, vLLM or mlx_vlm.server.",
    what_fails=(
        "A server with a text model, or without the model's vision part, may drop the image "
        "and answer anyway: such runs are image_ignored, where the server counts tokens."
    ),
    how_loaded=(
        "By the server, which you start. `engine: openai` with `url` (mostly ending in /v1); "
        "`id` is the model's name there, and `api_key_env` names the variable with the key."
    ),
    prompt_format="The server's affair.",
    image_form="The prepared images as PNG in data: URLs.",
    notes=(
        "Tokens are the server's count, times are seen from outside: prompt_tps includes what "
        "the server does to the image. Memory and dtype are not known.",
        "image_tokens are the difference to the same text without its images, which is sent "
        "once a text, for one token, and not timed.",
        "A server's own defaults (Ollama's repeat_penalty, for one) also hold in greedy runs.",
    ),
)
HOOKS: Mapping[str, str] = {}
