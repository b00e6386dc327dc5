"""Programs in reports: valid Python for any stored value; no stored value becomes code."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from runner.bug_report.repro import snippet
from runner.bug_report.run_record import RunRecord
from tests.helpers.bug_report_cases import LOCATION, case, image, row

TALK = [
    {"role": "user", "text": "What is this?"},
    {"role": "user", "text": "Is it new?"},
]
SAMPLED = {"max_new_tokens": 9, "do_sample": True, "temperature": 0.5, "top_p": 0.9, "seed": 7}
OPENAI = {"engine": "openai", "url": "http://127.0.0.1:1/v1", "api_key_env": "MY_KEY"}
SERVED = {"engine": "openai", "device": None, "dtype": None}
HOSTILE = "'\"\"\"\\\n```\x1b[2J{x}\u202e\n__import__('os').system('true')"

BROKEN = image(error_class="bad_image", name="x.y';.jpg")
ANSWERED = json.dumps([{"role": "assistant", "text": "A bicycle."}])

CASES = {
    "plain": case(),
    "no image": case(images=[]),
    "two images": case(images=[image(), image()]),
    "a video": case(images=[image(kind="video", frame_paths='["a", "b", "c"]')]),
    "a talk": case({"transcript": ANSWERED}, turns=TALK),
    "sampled": case(generation=SAMPLED),
    "remote code": case(variant={"trust_remote_code": True, "revision": "main"}),
    "settings": case(variant={"processor": {"do_image_splitting": False, "a b": [None, {}]}}),
    "never loaded": case(worker={"engine": None, "device": None, "dtype": None, "family": None}),
    "moondream2": case(worker={"family": "moondream2"}),
    "phi3_v": case(worker={"family": "phi3_v"}),
    "mlx": case(worker={"engine": "mlx", "device": "cpu", "dtype": "float16"}),
    "mlx sampled": case(worker={"engine": "mlx", "device": "gpu"}, generation=SAMPLED, turns=TALK),
    "a server": case(variant=OPENAI, worker=SERVED),
    "a server, sampled": case(variant=OPENAI, worker=SERVED, generation=SAMPLED),
    "bad image": case({"phase": "prepare"}, images=[BROKEN]),
    "a folder": case(model=row("models", source="local", location="/home/ann/models/x")),
}


@pytest.mark.parametrize("name", CASES)
def test_every_generated_program_compiles(name: str) -> None:
    compile(snippet(CASES[name]), name, "exec")


def hostile(engine: str, family: str) -> RunRecord:
    """A case with text in every place that text from outside can get to."""
    variant = {"processor": {HOSTILE: HOSTILE}, "revision": HOSTILE, "device": HOSTILE}
    generation: dict[str, Any] = {"max_new_tokens": HOSTILE, "top_k": HOSTILE, HOSTILE: 1}
    return case(
        {"transcript": json.dumps([{"role": "assistant", "text": HOSTILE}])},
        variant | {"url": HOSTILE, "api_key_env": HOSTILE, "dtype": HOSTILE, "engine": engine},
        {"engine": engine, "family": family, "device": HOSTILE, "dtype": HOSTILE},
        turns=[{"role": "user", "text": HOSTILE}, {"role": "user", "text": HOSTILE}],
        generation=generation,
        model=row("models", **LOCATION | {"location": HOSTILE}),
        found=row("models", **LOCATION, commit_hash=HOSTILE),
    )


@pytest.mark.parametrize(
    ("engine", "family"),
    [
        ("transformers", "generic"),
        ("transformers", "moondream2"),
        ("transformers", "phi3_v"),
        ("mlx", "generic"),
        ("openai", "server"),
    ],
)
def test_stored_values_never_become_code(engine: str, family: str) -> None:
    tree = ast.parse(snippet(hostile(engine, family)))
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert "__import__" not in {f.id for f in called if isinstance(f, ast.Name)}
    assert any("__import__" in str(n.value) for n in ast.walk(tree) if isinstance(n, ast.Constant))


def test_program_contains_only_the_options_that_were_set() -> None:
    text = snippet(CASES["plain"])
    assert 'revision="c0ffee"' in text
    assert "dtype=torch.bfloat16" in text
    assert '.to("cuda:0")' in text
    assert "max_new_tokens=50, do_sample=False" in text
    assert "/home/ann" not in snippet(CASES["a folder"])
    assert ".expanduser()" in snippet(CASES["a folder"])


def test_conversation_ends_at_the_first_missing_answer() -> None:
    assert "A bicycle." in snippet(CASES["a talk"])
    assert "Is it new?" in snippet(CASES["a talk"])
    assert "Is it new?" not in snippet(case(turns=TALK))


def test_server_program_sends_a_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, dict[str, Any]]] = []

    class Server(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["Authorization"], body))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"choices": [{"message": {"content": "A dot."}}]}')

        def log_message(self, *_: object) -> None: ...

    Image.new("RGB", (2, 2)).save(tmp_path / "image-1.png")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MY_KEY", "the-key")
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.handle_request).start()
        url = {"url": f"http://127.0.0.1:{server.server_port}/v1"}
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(compile(snippet(case(variant=OPENAI | url, worker=SERVED)), "x", "exec"), {})
    assert output.getvalue() == "A dot.\n"
    ((path, key, body),) = asked
    assert (path, key, body["model"]) == ("/v1/chat/completions", "Bearer the-key", "org/model")
    assert (body["max_tokens"], body["temperature"]) == (50, 0)
    (message,) = body["messages"]
    assert message["content"][0]["image_url"]["url"].startswith("data:image/png;base64,")
    assert message["content"][1] == {"type": "text", "text": "What is this?"}
