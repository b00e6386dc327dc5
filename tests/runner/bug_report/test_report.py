"""Reports: all the evidence, for the right project, and nothing that acts or should stay here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner.bug_report.project import project
from runner.bug_report.redact import code_block, current_first, inline_code, last_lines, redact
from runner.bug_report.report import write_report_text
from runner.bug_report.run_record import RunRecord
from runner.cli import cli
from runner.database.store import Store
from tests.helpers.bug_report_cases import LOCATION, case, image, row

LIBRARY = """Traceback (most recent call last):
  File "/home/ann/v/lib/python3.12/site-packages/transformers/models/x/modeling_x.py", line 7, in f
    y = self.z(x)
  File "/home/ann/v/lib/python3.12/site-packages/torch/nn/functional.py", line 9, in linear
    return torch._C.linear(x)
ValueError: x
"""
HUNG = """Thread 0x0000 (most recent call first):
  File "/home/ann/v/lib/python3.12/site-packages/torch/utils/idle.py", line 1 in wait
Current thread 0x0001 (most recent call first):
  File "/home/ann/v/lib/python3.12/site-packages/mlx_vlm/models/y.py", line 33 in forward
  File "/app/workers/serve.py", line 5 in main
"""
OWN = LIBRARY.replace("site-packages/transformers/models/x", "modules/transformers_modules/org/x")


@pytest.mark.parametrize(
    ("made", "name", "why"),
    [
        (case({"traceback": LIBRARY}), "transformers", "transformers/models/x/modeling_x.py:7"),
        (case(worker={"engine": "mlx", "stack": HUNG}), "mlx_vlm", "mlx_vlm/models/y.py:33"),
        (case({"traceback": OWN}), "org/model", "the Python that it brings"),
        (case({"error_class": "missing_shards"}), "org/model", "its files"),
        (case({"error_class": "internal"}), "vlmsweep", "the program that ran"),
        (case({"error_class": "gated", "traceback": LIBRARY}), "transformers", "nobody's fault"),
        (
            case(variant={"engine": "openai"}, worker={"engine": None}),
            "the server's project",
            "server",
        ),
        (case({"phase": "prepare", "error_class": "bad_image"}), "Pillow", "decoded"),
        (case(worker={"engine": "mlx"}), "mlx-vlm", "runs the model"),
        (case(), "transformers", "runs the model"),
    ],
)
def test_report_is_addressed_to_the_responsible_project(
    made: RunRecord, name: str, why: str
) -> None:
    found = project(made)
    assert found.name == name
    assert why in found.why
    assert "/home" not in found.why


def killed() -> RunRecord:
    """A hang that was killed, with everything there can be."""
    run = {"outcome": "timeout", "phase": "prefill", "message": "no first token within 180 s"}
    worker = {"killed_for": "first_token_s", "kill_signals": "SIGUSR1 SIGKILL", "kill_s": 0.05}
    worker |= {"killed_processes": 3, "survivors": 0, "stack": HUNG, "peak_rss_bytes": 5_000_000}
    worker |= {"notes": '["a note"]', "model_class": "XForConditionalGeneration"}
    log = "".join(f"line {n}\n" for n in range(100)) + "progress 1%\rprogress 99%\rprogress 100%\n"
    return case(run | {"traceback": HUNG}, worker=worker | {"engine": "mlx"}, log=log)


def test_report_contains_the_evidence() -> None:
    text, to = write_report_text(killed())
    assert text.startswith("# `org/model`: timeout in prefill: `no first token within 180 s`\n")
    for message in (
        "killed for the limit `first_token_s` (180 s), by `SIGUSR1 SIGKILL`",
        "processes killed: 3, all gone after 50 ms",
        "```text\nCurrent thread 0x0001 (most recent call first):\n"
        '  File ".../site-packages/mlx_vlm/models/y.py", line 33 in forward\n',
        "peak memory: 5.0 MB (`5000000` bytes)",
        "The first token within 180 s of the question.",
        "line 99\nprogress 100%\n",
        "[... 61 lines before]\nline 61\n",
        "`image-1.png` | `JPEG RGB` | `40 x 30` | `6` | `999` | `abab",
        "`RGB PNG, 30 x 40, upright`",
        "- `torch` `2.9`",
        "- Python `3.12.1`",
        "- commit of the model: `c0ffee`",
        "- note: `a note`",
        "XForConditionalGeneration",
    ):
        assert message in text, message
    assert to.url == "https://github.com/Blaizzy/mlx-vlm/issues/new"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (case({"outcome": "crashed"}, worker={"exit_signal": "SIGSEGV"}), "ended by `SIGSEGV`"),
        (case({"outcome": "crashed"}, worker={"exit_code": 3}), "left with exit status 3"),
        (case({"error_class": "image_ignored"}), "an answer that looks at it"),
        (case({"outcome": "ok", "phase": None, "raw_text": "A dot."}), "A dot."),
        (case(worker={"engine": None}, environment={}), "before it reported them"),
    ],
)
def test_report_covers_other_outcomes(made: RunRecord, message: str) -> None:
    assert message in write_report_text(made)[0]


def fences(text: str) -> list[str]:
    """The text outside of all fences, as a reader of CommonMark sees it."""
    outside, fence = [], ""
    for line in text.split("\n"):
        mark = re.match(r" {0,3}(`{3,})([^`]*)$", line)
        if fence:
            closes = mark and len(mark[1]) >= len(fence) and not mark[2].strip()
            fence = "" if closes else fence
        elif mark:
            fence = mark[1]
        else:
            outside.append(line)
    assert not fence
    return outside


HOSTILE = (
    "</code> ````\n`````python\n# Big title\n<script>alert(1)</script> @all #1 --> \x1b[2J | x"
)


def test_model_output_in_a_report_is_inert() -> None:
    texts = {"message": HOSTILE, "traceback": HOSTILE, "raw_text": HOSTILE, "error_class": HOSTILE}
    made = case(
        texts,
        worker={"stack": HOSTILE + "s", "notes": json.dumps([HOSTILE]), "model_class": HOSTILE},
        log=HOSTILE,
        model=row("models", **LOCATION | {"location": HOSTILE}),
        turns=[{"role": "user", "text": HOSTILE}],
        images=[image(format=HOSTILE, mode=HOSTILE)],
    )
    text, _ = write_report_text(made)
    assert "\x1b" not in text
    outside = "\n".join(fences(text))
    bare = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"<!--.*?-->", "", outside))
    assert "<" not in bare
    assert "@all" not in bare
    assert "Big title" not in bare
    (comment,) = (line for line in outside.split("\n") if line.startswith("<!--"))
    assert comment.endswith(" -->")
    assert comment.count(">") == 1


def test_private_data_is_not_in_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "some-very-secret-1")
    monkeypatch.setattr(Path, "home", lambda: Path("/root"))
    message = (
        "see /home/ann/x and /Users/bob/y and C:\\Users\\eve\\z, /root/w, some-very-secret-1 hf_"
    )
    message += "a" * 30
    texts = {"message": message, "traceback": message, "raw_text": message}
    made = case(texts, worker={"stack": message + "s", "notes": json.dumps([message])}, log=message)
    text, _ = write_report_text(made)
    for private in ("ann", "bob", "eve", "/root", "some-very-secret-1", "hf_aaa"):
        assert private not in text, private
    assert "see ~/x and ~/y and ~\\z, ~/w" in text


def test_report_tools() -> None:
    assert code_block("a") == "```text\na\n```"
    assert code_block("a ```` b").startswith("`````text\n")
    assert inline_code("a`b") == "``a`b``"
    assert inline_code("`") == "`` ` ``"
    assert inline_code("") == "` `"
    assert last_lines("a\nb\nc", 2, 99) == "[... 1 lines before]\nb\nc"
    assert last_lines("a", 2, 99) == "a"
    assert redact("/rooted") == "/rooted"
    assert current_first("a\nCurrent thread\nb", 2) == "Current thread\nb\n[... 2 lines more]"


def test_runs_are_found_and_close_matches_suggested(
    store: Store, queued: Callable[..., int], tmp_path: Path
) -> None:
    def issue(*arguments: Any) -> tuple[int, str, str]:
        done = CliRunner().invoke(cli, ["issue", *arguments, "--db", str(store.path)])
        return done.exit_code, done.stdout, done.stderr

    queued(["m"], ["p", "q", "r", "s"])
    assert "no run has failed" in issue("1000")[2]
    store.finish_run(store.start_run(4, None), {"outcome": "ok", "text": "fine"})
    assert issue("4")[2].startswith(
        "Error: there is no run 4, but a job 4\nHint: its latest run: vlmsweep issue 1,"
    )
    store.finish_run(store.start_run(4, None), {"outcome": "error", "message": "broke"})
    store.start_run(1, None)
    assert issue("1")[0] == 0
    code, text, message = issue("--job", "4")
    assert (code, "`broke`" in text) == (0, True)
    assert message.startswith("Report to: transformers, https://github.com/")
    assert "run 3 has not ended yet" in issue("3")[2]
    assert "there is no run '77'" in issue("77")[2]
    assert "runs that failed last: 2 (m: error)" in issue("x")[2]
