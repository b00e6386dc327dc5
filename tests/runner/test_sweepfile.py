"""Sweep files: what is right is read, and what is wrong is all said at once."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import SweepFileError
from runner.planning import sweepfile

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


def write(folder: Path, text: str, name: str = "s.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def problems(path: Path) -> str:
    with pytest.raises(SweepFileError) as caught:
        sweepfile.read(path)
    return caught.value.message


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
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
    "said",
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
def test_every_problem_is_said_with_its_place(tmp_path: Path, said: str) -> None:
    assert said in problems(write(tmp_path, WRONG))


def test_sampling_settings_without_sampling_are_a_mistake(tmp_path: Path) -> None:
    text = "models: [a/b]\nprompts: [hi]\ngeneration: {temperature: 0.5}"
    assert "generation: temperature would be ignored" in problems(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("a: [", "s.yaml", "not valid YAML"),
        ("a = ", "s.toml", "not valid TOML"),
        ("", "s.yaml", "holds no mapping"),
        ("- a", "s.yml", "holds no mapping"),
        ("x", "s.txt", "neither YAML nor TOML"),
        ("a: !!python/object/apply:os.system ['true']", "s.yaml", "not valid YAML"),
    ],
)
def test_files_that_are_no_sweeps(tmp_path: Path, text: str, name: str, said: str) -> None:
    assert said in problems(write(tmp_path, text, name))


def test_a_missing_file_is_said_so(tmp_path: Path) -> None:
    assert "No such file" in problems(tmp_path / "none.yaml")


def test_a_file_of_no_text_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_bytes(b"\xff\xfe\x00\x01")
    assert "not UTF-8" in problems(tmp_path / "s.yaml")


def test_the_command_line_is_held_to_the_same_rules() -> None:
    sweep = sweepfile.from_options(("a/b",), ("x",), (), {"repeats": 2})
    assert sweep.prompts[0].text == "Describe this image."
    with pytest.raises(SweepFileError, match="the command line"):
        sweepfile.from_options(("a/b",), (), (), {"repeats": 0})


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["models", "id", "prompts", "text", "turns", "images", "limits", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["models", "prompts", "images", "generation", "limits", "exclude", "zz"]),
        values,
    )
)
def test_whatever_a_file_holds_it_is_a_sweep_or_an_error_for_people(data: dict) -> None:
    with contextlib.suppress(SweepFileError):
        sweepfile.check(data, "fuzz")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    for name in ("s.yaml", "s.toml"):
        try:
            sweepfile.check(sweepfile.parse(text, Path(name)), name)
        except SweepFileError:
            continue
        assert yaml.safe_load(text)
