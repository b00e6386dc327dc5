"""Bug reports and the loading guide write the code of a load by one generator."""

from __future__ import annotations

import ast

from runner.text.load_code import LoadCode, generate_lines
from tests.helpers.paths import ROOT


def test_only_one_module_generates_load_code() -> None:
    writers = [
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "runner").rglob("*.py")
        if "model = {" in (text := file.read_text()) and "from_pretrained" in text
    ]
    assert writers == ["runner/text/load_code.py"]


def test_stored_text_becomes_a_literal_not_code() -> None:
    hostile = "x\"); import os  # \u202e'"
    load = LoadCode(
        model="MODEL",
        model_class="AutoModel",
        revision=hostile,
        dtype=hostile,
        device=hostile,
        attention=hostile,
        processor={hostile: hostile},
    )
    lines = [*load.processor_lines(), *load.model_lines(), *generate_lines({"seed": 1}, "new")]
    tree = ast.parse("\n".join(lines))
    assert not any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(tree))
    texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    assert texts.count(hostile) == 6
    assert "torch.manual_seed(1)" in lines
