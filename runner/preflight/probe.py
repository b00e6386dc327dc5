"""Runs `workers.preflight` in each model's environment to find load problems."""

from __future__ import annotations

import json
import os
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..environments import cache
from ..environments.probe import InterpreterError
from ..environments.worker_command import check_interpreter, worker_command
from ..text.sanitize import one_line
from .finding import Finding, LoadVariant

LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The `facts` that workers.preflight returned about a variant, or None.

    Without facts, `finding` may give the reason.
    """

    variant: LoadVariant
    facts: dict[str, Any] | None
    finding: Finding | None = None


def probe_variants(
    variants: Sequence[LoadVariant], hub: bool, made: bool, limit_s: float = LIMIT_S
) -> list[ProbeResult]:
    """Return the result of each variant, in order.

    `made`: environments have been created, so that a missing one is a problem.
    """
    groups: dict[str | None, list[LoadVariant]] = defaultdict(list)
    for variant in variants:
        groups[variant.python].append(variant)
    found = {}
    for python, mine in groups.items():
        for outlook in probe_environment(python, mine, hub, made, limit_s):
            found[id(outlook.variant)] = outlook
    return [found[id(variant)] for variant in variants if id(variant) in found]


def probe_environment(
    python: str | None, variants: Sequence[LoadVariant], hub: bool, made: bool, limit_s: float
) -> Iterator[ProbeResult]:
    """Yield the results of one environment; without facts if it is not created yet."""
    slot = cache.find_cached_environment(python) if python is not None else None
    if slot is not None and not slot.exists and not made:
        yield from (
            ProbeResult(variant, None, pending_environment_finding(variant, slot))
            for variant in variants
        )
        return
    try:
        if python is not None:
            check_interpreter(python)
        answers, why = run_probe(python, variants, hub, limit_s)
    except InterpreterError as error:
        for variant in variants:
            finding = Finding(
                variant.severity, "environment", variant.name, error.message, error.hint
            )
            yield ProbeResult(variant, None, finding)
        return
    for number, variant in enumerate(variants):
        if number < len(answers):
            yield ProbeResult(variant, answers[number])
        else:
            message = f"could not be checked in advance: {why}"
            yield ProbeResult(variant, None, Finding("warning", "model", variant.name, message))


def pending_environment_finding(variant: LoadVariant, slot: cache.CachedEnvironment) -> Finding:
    """Return a note that the environment is created at the start, or why it failed before."""
    note = slot.read()
    if note is not None and note.message:
        message = f"the last time, {note.message}; it is retried when the sweep starts"
        return Finding("warning", "environment", variant.name, message, note.hint)
    needs = ", ".join(variant.requirements or ())
    message = f"its environment is created when the sweep starts, with {needs}"
    return Finding("note", "environment", variant.name, message, "vlmsweep fetch creates it now")


def run_probe(
    python: str | None, variants: Sequence[LoadVariant], hub: bool, limit_s: float
) -> tuple[list[dict[str, Any]], str]:
    """Return the answers received within `limit_s` seconds, and why others are missing."""
    argv, env = worker_command(python, "workers.preflight")
    questions = "".join(json.dumps(asdict(variant.load)) + "\n" for variant in variants)
    why = "its answer is missing"
    try:
        completed = subprocess.run(
            [*argv, *(["--hub"] if hub else [])],
            env={**os.environ, **env},
            input=questions.encode(),
            capture_output=True,
            timeout=limit_s,
        )
        output = completed.stdout
        if completed.returncode:
            why = one_line(b"".join(completed.stderr.splitlines()[-1:]).decode("utf-8", "replace"))
    except subprocess.TimeoutExpired as error:
        output, why = error.stdout or b"", f"no answer within {limit_s:g} s"
    except OSError as error:
        return [], str(error)
    answers = []
    for line in output.split(b"\n")[:-1]:
        try:
            answers.append(json.loads(line))
        except ValueError:
            break
    return answers, why
