"""Sweep files: valid ones are read, and all problems are reported at once."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.database.store import canonical_json
from runner.errors import SweepFileError
from runner.planning import sweepfile
from schemas.sweep import Limits, Model, Prompt, Sweep

WRONG = """
models:
  - {id: a/b, dtyp: float32, device: gpu}
  - 5
  - {id: x, dtype: int8, generation: {max_new_tokens: 0}}
  - ''
images: {a: b}
prompts:
  - {text: a, turns: [b]}
  - {turns: [{role: system, text: x}]}
  - {text: hi, images: some}
  - {text: hi, images: []}
generation: {temperature: 1, maxnewtokens: 4}
limit: {load: 5}
repeats: true
exclude: [{model: a}]
"""

GOOD = b"""
models: [{id: a/b, dtype: float32, generation: {max_new_tokens: 5}}, demo]
images: [pics, "**/*.png"]
prompts: [{text: "a?", images: none}, {name: x, turns: [b, {role: assistant, text: c}, d]}]
limits: {load_s: 5.5, memory_bytes: 1000}
exclude: [{model: "*b", reason: why}]
"""


def write(folder: Path, text: str, name: str = "s.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def problems(path: Path) -> str:
    with pytest.raises(SweepFileError) as caught:
        sweepfile.read(path)
    return caught.value.message


def test_yaml_and_toml_are_equivalent(tmp_path: Path) -> None:
    one = write(tmp_path, "models: [a/b]\nimages: pics\nprompts: [hi]\nlimits: {load_s: 5}")
    two = write(
        tmp_path,
        'models = ["a/b"]\nimages = ["pics"]\nprompts = ["hi"]\nlimits = {load_s = 5.0}',
        "s.toml",
    )
    assert sweepfile.read(one) == sweepfile.read(two)
    sweep = sweepfile.read(one)
    assert sweep.generation.max_new_tokens == 100
    assert sweep.generation.do_sample is False
    assert sweep.image.max_side == 1024
    assert sweep.models[0].trust_remote_code is False


@pytest.mark.parametrize(
    "message",
    [
        "models[0].dtyp: unknown key (did you mean dtype?)",
        "models[0].device: should be auto, cpu, mps, cuda or cuda:N, not 'gpu'",
        "models[1]: should be a name or a mapping, not 5",
        "models[2].dtype: 'int8' is not one of",
        "models[2].generation.max_new_tokens: input should be greater than or equal to 1, not 0",
        "models[3].id: should not be empty",
        "images: should be a list",
        "prompts[0]: give either text or turns",
        "prompts[1].turns[0].role: 'system' is not one of 'user' or 'assistant'",
        "prompts[2].images: 'some' is not one of 'each', 'none' or 'all'",
        "prompts[3].images: should not be empty",
        "generation.maxnewtokens: unknown key (did you mean max_new_tokens?)",
        "limit: unknown key (did you mean limits?)",
        "repeats: should be a whole number, not True",
        "exclude[0].reason: missing",
    ],
)
def test_every_problem_is_reported_with_its_location(tmp_path: Path, message: str) -> None:
    assert message in problems(write(tmp_path, WRONG))


def test_sampling_settings_without_sampling_are_refused(tmp_path: Path) -> None:
    text = "models: [a/b]\nprompts: [hi]\ngeneration: {temperature: 0.5}"
    assert "generation: temperature would be ignored" in problems(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("a: [", "s.yaml", "not valid YAML"),
        ("a = ", "s.toml", "not valid TOML"),
        ("", "s.yaml", "is not a mapping"),
        ("- a", "s.yml", "is not a mapping"),
        ("x", "s.txt", "neither YAML nor TOML"),
        ("a: !!python/object/apply:os.system ['true']", "s.yaml", "not valid YAML"),
    ],
)
def test_files_that_are_not_sweeps_are_refused(
    tmp_path: Path, text: str, name: str, message: str
) -> None:
    assert message in problems(write(tmp_path, text, name))


def test_missing_file_is_reported(tmp_path: Path) -> None:
    assert "no such file" in problems(tmp_path / "none.yaml")


def test_binary_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "not UTF-8" in problems(tmp_path / "s.yaml")


def test_command_line_is_validated_like_a_file() -> None:
    sweep = sweepfile.from_options(("a/b",), ("x",), (), {"repeats": 2})
    assert sweep.prompts[0].text == "Describe this image."
    with pytest.raises(SweepFileError, match="the command line"):
        sweepfile.from_options(("a/b",), (), (), {"repeats": 0})


# Fuzzed input: only SweepFileError may be raised, within the time limit, and an accepted sweep must
# be storable.


READ_CPU_S = 5.0


def survives(folder: Path, name: str, data: bytes) -> str:
    """Reads it as the command line does; the message, or "" for a sweep."""
    path = folder / name
    path.write_bytes(data)
    began = time.thread_time()  # of the processor, which a busy machine does not lengthen
    try:
        sweep = sweepfile.read(path)
        canonical_json(sweep.model_dump(mode="json")).encode()
    except SweepFileError as error:
        return error.message
    finally:
        assert time.thread_time() - began < READ_CPU_S
    return ""


KEYS = [*Sweep.model_fields, *Model.model_fields, *Prompt.model_fields, *Limits.model_fields, "zz"]
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 2**63, -(2**70), 10**400, "demo", "each", "none", "user", "auto"])
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=4)
    | st.dates()
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
PIECES = [
    *(f"{key}: " for key in KEYS),
    *("\n", "  ", "- ", "[", "]", "{", "}", ", ", ": ", "? ", "<<: ", "# ", "|\n", ">-\n", "---\n"),
    *(
        "&a ",
        "*a",
        "&b ",
        "*b",
        "!!binary ",
        "!!set ",
        "!!python/name:os.system ",
        "!x ",
        "%YAML 9",
    ),
    *("a.b.c", " = ", "[[models]]\n", "'", '"', '"""', "\\x00", "\\uD800", "\0", "\x85", "\ufeff"),
    *("0x" + "f" * 5000, "9" * 5000, "1e999", "190:20:30", ".nan", "2001-01-01", "demo", "each"),
]


@pytest.mark.slow
@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(list(Sweep.model_fields)), values))
def test_any_content_gives_a_sweep_or_a_readable_error(data: dict) -> None:
    with tempfile.TemporaryDirectory() as folder:
        survives(Path(folder), "s.yaml", yaml.safe_dump(data).encode())


@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_random_bytes_raise_only_sweep_errors(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("s.yaml", "s.toml"):
            survives(Path(folder), name, data)


@pytest.mark.slow
@example(["!!set ", "[[models]]\n"])
@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=25))
def test_syntax_fragments_raise_only_sweep_errors(pieces: list[str]) -> None:
    data = "".join(pieces).encode("utf-8", "surrogatepass")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("s.yaml", "s.toml"):
            survives(Path(folder), name, data)


@settings(max_examples=200)
@given(st.data())
def test_mutated_files_raise_only_sweep_errors(data: st.DataObject) -> None:
    text = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    with tempfile.TemporaryDirectory() as folder:
        survives(Path(folder), "s.yaml", bytes(text))


def laughs(levels: int) -> str:
    """A list of lists of lists ..., nine of the level below in each; 9 ** levels in all."""
    rows = ["- &a0 [x, x, x, x, x, x, x, x, x]"]
    rows += [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(rows)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.yaml", "[" * 100_000, "recursion"),
        ("s.yaml", "- " * 50_000, "recursion"),
        ("s.toml", "a = " + "[" * 100_000, "recursion"),
        ("s.toml", ".".join("a" * 20_000) + " = 1", "500 dots"),
        ("s.yaml", f"images:\n{laughs(9)}\n", "more than 1,000,000 values"),
        ("s.yaml", "models: &a [*a]", "contains itself"),
        ("s.yaml", "models: &a {b: {c: *a}}", "contains itself"),
        ("s.yaml", "repeats: 0x" + "f" * 10_000, "too large"),
        ("s.yaml", "limits: {memory_bytes: 99999999999999999999}", "too large"),
        ("s.yaml", "repeats: " + "9" * 5_000, "digits"),
        ("s.yaml", 'prompts: ["\\uD800"]', "invalid character"),
        ("s.yaml", 'images: ["a\\0b"]', "invalid character"),
        ("s.yaml", "models: [demo]\nrepeats: 1\nrepeats: 2", "'repeats' is used twice"),
        ("s.toml", "repeats = 1\nrepeats = 2", "overwrite"),
        ("s.yaml", "models: [{id: demo, processor: {a: !!binary gIGC}}]", "valid JSON value"),
        ("s.yaml", "".join(f"k{n}: 1\n" for n in range(20_000)), "the first 100 of 20002"),
    ],
    ids=range(16),
)
def test_expansion_bombs_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    assert message in survives(tmp_path, name, text.encode())


def test_ordinary_aliases_and_merges_work(tmp_path: Path) -> None:
    text = """
    models:
      - &a {id: demo, name: one, generation: {max_new_tokens: 5}}
      - {<<: *a, name: two}
    prompts: [hi]
    """
    (tmp_path / "s.yaml").write_text(text)
    sweep = sweepfile.read(tmp_path / "s.yaml")
    assert [(model.id, model.name) for model in sweep.models] == [("demo", "one"), ("demo", "two")]


@pytest.mark.parametrize("key", ["trust_remote_code", "subfolder", "vocab_file", "_commit_hash"])
def test_processor_settings_cannot_change_loaded_files(tmp_path: Path, key: str) -> None:
    text = f"models: [{{id: demo, processor: {{{key}: ../x}}}}]\nprompts: [hi]"
    assert f"models[0].processor: {key} would decide" in problems(write(tmp_path, text))
