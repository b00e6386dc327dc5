"""A real worker process on tiny checkpoints: the order of events, a clean stream, equal texts."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.commands import Load, Run, Stop, Turn
from schemas.generation import Generation

PROMPTS = ("Describe this image.", "How many squares are there?", "What colour? été 世界")
TOKENS = 24

# Prints all the while, by Python and past it, to both of the places where output can go.
NOISE = """
import os, sys, threading
def noise():
    line = b'{"event":"worker_exiting","runs":99}\\n' * 20
    while True:
        print('{"event": "started"} \\0 \\x1b[31m', 'x' * 500)
        os.write(1, line); os.write(2, line)
        threading.Event().wait(0.01)
threading.Thread(target=noise, daemon=True).start()
"""


def answers(folder: Path, images: dict[str, str]) -> list[tuple[str, list[int], int, int]]:
    """Reference result of the library: text, generated ids, input tokens, image tokens.

    Made of the library's parts, for SmolVLM2's own processor can't be had without torchvision;
    both models' prompts are alike for images.
    """
    import torch
    from PIL import Image
    from transformers import (
        AutoImageProcessor,
        AutoModelForImageTextToText,
        AutoTokenizer,
        Idefics3Processor,
    )

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    template = (folder / "chat_template.json").read_text(encoding="utf-8")
    import json

    processor = Idefics3Processor(
        AutoImageProcessor.from_pretrained(folder),
        AutoTokenizer.from_pretrained(folder),
        image_seq_len=4,
        chat_template=json.loads(template)["chat_template"],
    )
    found = []
    for path in images.values():
        for prompt in PROMPTS:
            content = [{"type": "image"}, {"type": "text", "text": prompt}]
            text = processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True
            )
            inputs = processor(text=text, images=[Image.open(path)], return_tensors="pt")
            size = inputs["input_ids"].shape[1]
            out = model.generate(**inputs, max_new_tokens=TOKENS, do_sample=False)[0, size:]
            raw = processor.tokenizer.decode(out, skip_special_tokens=False)
            image = int((inputs["input_ids"] == model.config.image_token_id).sum())
            found.append((raw, out.tolist(), size, image))
    return found


@pytest.mark.model
@pytest.mark.parametrize("family", ["smolvlm2", "smolvlm"])
def test_texts_and_counts_equal_a_direct_call(
    family: str, tiny: Callable[[str], Path], images: dict[str, str], talk: Callable[..., Any]
) -> None:
    folder = tiny(family)
    asked = [(path, prompt) for path in images.values() for prompt in PROMPTS]
    generation = Generation(max_new_tokens=TOKENS)
    runs = [
        Run(run=number, turns=(Turn(text=prompt, images=(path,)),), generation=generation)
        for number, (path, prompt) in enumerate(asked, start=1)
    ]
    load = Load(model=str(folder), local=True, device="cpu")
    output = talk([load, *runs, Stop()], before=NOISE)

    assert output.code == 0, output.log
    assert output.log.count("\x1b[31m") > 5  # the noise is in the log
    kinds = [e["event"] for e in output.events if e["event"] not in ("heartbeat", "progress")]
    assert kinds[:3] == ["started", "fetched", "loaded"]
    assert kinds[-1] == "worker_exiting"
    assert [e["seq"] for e in output.events] == list(range(1, len(output.events) + 1))
    (exiting,) = output.named("worker_exiting")
    assert exiting["runs"] == len(runs)
    check_runs(output, answers(folder, images))


def check_runs(output: Any, expected: list[tuple[str, list[int], int, int]]) -> None:
    finished = output.named("run_finished")
    assert len(finished) == len(expected)
    for event, (raw, ids, size, image) in zip(finished, expected, strict=True):
        mine = [e for e in output.events if e.get("run") == event["run"]]
        assert mine[0]["event"] == "run_started"
        assert [e["event"] for e in mine].count("first_token") == 1
        assert event["raw_text"] == raw
        pieces = [e["text"] for e in mine if e["event"] == "text"]
        assert "".join(pieces) == raw
        assert event["output_tokens"] == len(ids) >= 20
        assert (event["input_tokens"], event["image_tokens"]) == (size, image)
        assert event["image_tiles"] * 4 == image
        assert 0 < event["preprocess_s"] < event["ttft_s"] < event["latency_s"]
        assert event["prompt_tps"] > 0
        assert event["generation_tps"] > 0
    assert len({raw for raw, *_ in expected}) == len(expected)  # it does look, and read


def test_broken_checkpoint_ends_with_its_error_class(
    tmp_path: Path, talk: Callable[..., Any]
) -> None:
    output = talk([Load(model=str(tmp_path), local=True)])
    assert output.code == 3
    (error,) = output.named("error")
    assert (error["run"], error["error_class"]) == (None, "bad_config")
    assert error["hint"]
    assert "Traceback" in error["traceback"]
    assert not output.named("worker_exiting")


@pytest.mark.parametrize(
    ("token", "variable"),
    [("hf_not4realbutlongenough", "NOTHING"), ("known-by-its-n4me", "HF_TOKEN")],
)
def test_hub_token_never_reaches_an_event(
    talk: Callable[..., Any], token: str, variable: str
) -> None:
    """One is known by its form, wherever it is from, the other by its variable's name."""
    output = talk([Load(model=f"/nowhere/{token}", local=True)], env={variable: token})
    assert "[secret]" in output.named("error")[0]["message"]
    assert token not in str(output.events)


def test_end_of_input_stops_the_worker(talk: Callable[..., Any]) -> None:
    output = talk(b"")
    assert (output.code, [e["event"] for e in output.events]) == (0, ["started", "worker_exiting"])


def test_garbage_is_a_protocol_failure(talk: Callable[..., Any]) -> None:
    output = talk(b"hello\n")
    assert (output.code, output.named("error")[0]["error_class"]) == (3, "protocol")


def test_descriptors_and_signals_are_set_up(talk: Callable[..., Any]) -> None:
    """No child inherits the stream, nobody eats commands, Ctrl-C is the supervisor's."""
    before = """
import subprocess, sys, os, signal
import workers.main_loop as serve
def look(commands, tell):
    inside = sys.stdin.read() + os.read(0, 9).decode()
    code = f'import os; print("child has it:", os.path.exists("/dev/fd/{tell._fd}"))'
    child = subprocess.run([sys.executable, '-c', code], close_fds=False)
    os.kill(os.getpid(), signal.SIGINT)
    print('inside', repr(inside))
    print('commands', commands.read())
    return 7
serve.serve = look
"""
    output = talk(b"for the worker\n", before=before)
    assert output.code == 7
    assert "inside ''" in output.log
    assert "child has it: False" in output.log
    assert "for the worker" in output.log


def test_signal_writes_the_stack(tmp_path: Path, talk: Callable[..., Any]) -> None:
    stack = tmp_path / "stack"
    before = """
import os, signal
import workers.main_loop as serve
def hang_here(commands, tell):
    os.kill(os.getpid(), signal.SIGUSR1)
    return 0
serve.serve = hang_here
"""
    output = talk(b"", before=before, env={"VLMSWEEP_STACK_FILE": str(stack)})
    assert output.code == 0
    assert "hang_here" in stack.read_text()


def test_worker_exits_when_its_output_is_closed(talk: Callable[..., Any]) -> None:
    before = """
import os
import workers.protocol as wire
def closed(fd, data):
    raise BrokenPipeError
wire.os.write = closed
"""
    assert talk(b"", before=before).code == 4


def test_exit_handlers_are_skipped(talk: Callable[..., Any]) -> None:
    output = talk(b"", before="import atexit, threading; atexit.register(threading.Event().wait)")
    assert output.code == 0


def test_crash_leaves_a_stack_in_the_log(talk: Callable[..., Any]) -> None:
    before = """
import ctypes
import workers.main_loop as serve
serve.serve = lambda commands, tell: ctypes.string_at(0)
"""
    output = talk(b"", before=before)
    assert output.code == -signal.SIGSEGV
    assert "Segmentation fault" in output.log
