"""The program for the openai engine: a request by Python's standard library alone."""

from __future__ import annotations

from .repro_common import images, turns
from .run_record import RunRecord


def openai_program(case: RunRecord) -> list[str]:
    """A request to an OpenAI-compatible server, by the standard library alone."""
    names = {"top_k": "top_k", "repetition_penalty": "repetition_penalty"}
    if case.generation.get("do_sample"):
        names |= {name: name for name in ("temperature", "top_p", "seed")}
    body = {"model": case.model["location"], "max_tokens": case.generation["max_new_tokens"]}
    body |= {} if case.generation.get("do_sample") else {"temperature": 0}
    body |= {name: case.generation[name] for name in names if name in case.generation}
    key = case.spec.api_key_env
    messages = turns(case)
    return [
        "import base64",
        "import json",
        *(["import os"] if key else []),
        "import urllib.request",
        "from pathlib import Path",
        "",
        "def image(name):",
        "    data = base64.b64encode(Path(name).read_bytes()).decode()",
        '    url = f"data:image/png;base64,{data}"',
        '    return {"type": "image_url", "image_url": {"url": url}}',
        "",
        f"images = [image(name) for name in {images(case)!r}]",
        f'text = {{"type": "text", "text": {messages[0]["text"]!r}}}',
        'messages = [{"role": "user", "content": [*images, text]}]',
        *(
            f"messages.append({{'role': {t['role']!r}, 'content': {t['text']!r}}})"
            for t in messages[1:]
        ),
        f"body = {body!r} | {{'messages': messages}}",
        "headers = {'Content-Type': 'application/json'}",
        *([f"headers['Authorization'] = 'Bearer ' + os.environ[{key!r}]"] if key else []),
        f"url = {str(case.spec.url).rstrip('/') + '/chat/completions'!r}",
        "request = urllib.request.Request(url, json.dumps(body).encode(), headers)",
        'print(json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"])',
    ]
