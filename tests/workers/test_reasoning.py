"""Reasoning within a text, in the forms that models write it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest

from runner.scoring.metrics import score_answer
from schemas.commands import Run, Turn
from schemas.events import RunFinished
from schemas.generation import Generation
from workers.conversation import answer_all
from workers.detokenize import TextCleaner
from workers.engine import DeviceMemory, Engine, GeneratedAnswer
from workers.error_classes import WorkerFailure
from workers.reasoning_markers import KNOWN, find_pairs, make_pair, opened_by
from workers.reasoning_parser import NO_OPENING, UNCLOSED, ReasoningParser, parser_for
from workers.timing import RunTimer
from workers.white_space import fold_white_space

THOUGHT, ANSWER = "Round. Red.", "A red circle."
CHANNELS = (
    f"<|channel|>analysis<|message|>{THOUGHT}<|end|>"
    f"<|start|>assistant<|channel|>final<|message|>{ANSWER}"
)
# Text, reasoning, answer.
WITH_REASONING = [
    (f"<think>{THOUGHT}</think>{ANSWER}", THOUGHT, ANSWER),
    (f"<think>\n{THOUGHT}\n</think>\n\n{ANSWER}", THOUGHT, ANSWER),
    (f"\n  <think> {THOUGHT} </think> {ANSWER}\n", THOUGHT, ANSWER),
    (f"<THINK>{THOUGHT}</THINK>{ANSWER}", THOUGHT, ANSWER),
    (f"<thinking>{THOUGHT}</thinking>{ANSWER}", THOUGHT, ANSWER),
    (f"<seed:think>{THOUGHT}</seed:think>{ANSWER}", THOUGHT, ANSWER),
    (f"◁think▷{THOUGHT}◁/think▷{ANSWER}", THOUGHT, ANSWER),
    (f"[THINK]{THOUGHT}[/THINK]{ANSWER}", THOUGHT, ANSWER),
    (f"<|begin_of_thought|>{THOUGHT}<|end_of_thought|>{ANSWER}", THOUGHT, ANSWER),
    (f"<|START_THINKING|>{THOUGHT}<|END_THINKING|>{ANSWER}", THOUGHT, ANSWER),
    (f"<|channel>thought\n{THOUGHT}<channel|>{ANSWER}", THOUGHT, ANSWER),
    (CHANNELS, THOUGHT, ANSWER),
    # Without an opening mark, which the prompt holds.
    (f"{THOUGHT}</think>\n\n{ANSWER}", THOUGHT, ANSWER),
    (f"{THOUGHT}</think>{ANSWER}", THOUGHT, ANSWER),
    (f"{THOUGHT} </think> {ANSWER}", THOUGHT, ANSWER),
    (f"round, red\n</think>\n{ANSWER}", "round, red", ANSWER),
    (f"{THOUGHT}◁/think▷{ANSWER}", THOUGHT, ANSWER),
    (f"The end is `</think>`. {THOUGHT}\n</think>\n{ANSWER}", f"The end is `</think>`. {THOUGHT}",
     ANSWER),
    # Cut off, empty, several.
    (f"<think>{THOUGHT}", THOUGHT, ""),
    ("<think>", None, ""),
    (f"<think>{THOUGHT}</think>", THOUGHT, ""),
    (f"<think></think>{ANSWER}", None, ANSWER),
    (f"<think>\n\n</think>\n\n{ANSWER}", None, ANSWER),
    (f"</think>{ANSWER}", None, ANSWER),
    (f"<think>Round.</think>\n<think>Red.</think>{ANSWER}", "Round.\n\nRed.", ANSWER),
    (f"<think>Round.\n\n  Red.</think>{ANSWER}", "Round.\n\n  Red.", ANSWER),
    (f"<think>Not <think> again.</think>{ANSWER}", "Not <think> again.", ANSWER),
    # The answer may speak of the marks.
    (f"<think>{THOUGHT}</think>It says <think>x</think>.", THOUGHT, "It says <think>x</think>."),
    (f"{THOUGHT}</think>\nIt says </think> twice.", THOUGHT, "It says </think> twice."),
]  # fmt: skip
WITHOUT_REASONING = [
    ANSWER,
    "",
    "The image shows <think>x</think> in a box.",
    "The tag is <think>, which opens it.",
    "Write </think> to close it.",
    "The image shows `</think>` alone.",
    'It says "</think>" in red.',
    "```html\n<think>x</think>\n```",
    "```html\n<p>\n</think>\n```",
    "<div><think>x</think></div>",
    "I think it is red.",
    "A red circle.<|end|>",
]


@pytest.mark.parametrize(("text", "reasoning", "answer"), WITH_REASONING)
def test_reasoning_is_split_from_the_answer(text: str, reasoning: str | None, answer: str) -> None:
    parsed = ReasoningParser().parse(text)
    assert (parsed.reasoning, parsed.answer) == (reasoning, answer)


@pytest.mark.parametrize("text", WITHOUT_REASONING)
def test_answer_that_mentions_a_mark_is_not_changed(text: str) -> None:
    parsed = ReasoningParser().parse(text)
    assert (parsed.reasoning, parsed.answer, parsed.notes) == (None, fold_white_space(text), ())


def test_guess_and_missing_answer_are_noted() -> None:
    parser = ReasoningParser()
    assert parser.parse(f"<think>{THOUGHT}").notes == (UNCLOSED,)
    assert parser.parse(f"{THOUGHT}</think>{ANSWER}").notes == (NO_OPENING,)
    assert parser.parse(f"<think>{THOUGHT}</think>{ANSWER}").notes == ()


@pytest.mark.parametrize(
    ("text", "reasoning", "answer"),
    [
        (f"{THOUGHT}</think>{ANSWER}", THOUGHT, ANSWER),
        (f"So it is </think> {ANSWER}", "So it is", ANSWER),
        (f"<think>{THOUGHT}</think>{ANSWER}", THOUGHT, ANSWER),
        (f"<think> is open. {THOUGHT}", f"is open. {THOUGHT}", ""),
        (THOUGHT, THOUGHT, ""),
    ],
)
def test_prompt_may_open_the_reasoning(text: str, reasoning: str, answer: str) -> None:
    parsed = ReasoningParser(opened=make_pair("<think>", "</think>")).parse(text)
    assert (parsed.reasoning, parsed.answer) == (reasoning, answer)
    assert parsed.notes == (() if answer else (UNCLOSED,))


@pytest.mark.parametrize(
    ("prompt", "opens"),
    [
        ("<|im_start|>assistant\n<think>\n", True),
        ("<|im_start|>assistant\n<think>\n\n</think>\n\n", False),
        ("<think></think><think>", True),
        ("Assistant:", False),
        ("", False),
    ],
)
def test_prompt_that_opens_a_reasoning_is_recognised(prompt: str, opens: bool) -> None:
    assert (opened_by(prompt, KNOWN) is not None) == opens


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("{{ '<deep_think>' }}…{{ '</deep_think>' }}", ("<deep_think>", "</deep_think>")),
        ("<|thought_start|> <|thought_end|>", ("<|thought_start|>", "<|thought_end|>")),
        ("<|reasoning|> <|/reasoning|>", ("<|reasoning|>", "<|/reasoning|>")),
        ("[reason] [/reason]", ("[reason]", "[/reason]")),
    ],
)
def test_marks_come_from_templates_and_tokens(text: str, pair: tuple[str, str]) -> None:
    assert make_pair(*pair) in find_pairs([text])
    assert find_pairs([text.split(pair[1])[0]]) == KNOWN  # the opening mark alone says nothing


# A model in this process: special tokens, and a template.


class Token(str):
    special = True


def own_parser(tokens: Sequence[str], prompt_end: str, template: str = "") -> ReasoningParser:
    added = {number: Token(token) for number, token in enumerate(tokens)}
    tokenizer = SimpleNamespace(added_tokens_decoder=added, chat_template={"default": template})
    return parser_for(TextCleaner(tokens, [prompt_end]), tokenizer, None, [prompt_end])


@pytest.mark.parametrize(
    "raw",
    [
        f"[THINK]{THOUGHT}[/THINK]{ANSWER}</s>",
        f"<s>[THINK]{THOUGHT}[/THINK]{ANSWER}</s></s>",
        f"<s>Assistant: [THINK]{THOUGHT}[/THINK] {ANSWER}</s>",
        f"{THOUGHT}[/THINK]{ANSWER}</s>",
        f"<think>{THOUGHT}</think>{ANSWER}</s>",
    ],
)
def test_marks_that_are_special_tokens_are_used_before_they_are_removed(raw: str) -> None:
    parsed = own_parser(["<s>", "</s>", "[THINK]", "[/THINK]"], "Assistant:").parse(raw)
    assert (parsed.reasoning, parsed.answer) == (THOUGHT, ANSWER)


def test_marks_of_a_template_are_used() -> None:
    template = "{% if x %}<deep_think>{{ x }}</deep_think>{% endif %}"
    parser = own_parser(["<s>"], "<deep_think>", template)
    parsed = parser.parse(f"{THOUGHT}</deep_think>{ANSWER}")
    assert (parsed.reasoning, parsed.answer) == (THOUGHT, ANSWER)


def test_marks_are_not_visible() -> None:
    parser = own_parser(["<s>"], "Assistant:")
    assert not parser.visible("<think>\n")
    assert not parser.visible("<s></think>")
    assert parser.visible("<b>")


def test_many_special_tokens_take_no_time() -> None:
    parser = own_parser(["<a>", "<b>"], "<a>\n")
    assert parser.parse("<a>" * 5000 + ANSWER).answer == ANSWER


# Through an engine, to the scores.


class OneAnswer:
    """An engine that has one answer, or fails with it."""

    def __init__(self, text: str, apart: str | None = None, failure: WorkerFailure | None = None):
        self.text, self.apart, self.failure = text, apart, failure
        self.reasoning_parser = ReasoningParser()

    def sees_videos(self, turns: Sequence[Turn]) -> bool:
        return False

    def device_memory(self) -> DeviceMemory:
        return DeviceMemory()

    def generate(
        self, turns: Sequence[Turn], generation: Generation, meter: RunTimer
    ) -> GeneratedAnswer:
        meter.mark_inputs_ready(3)
        if self.failure:
            self.failure.text, self.failure.reasoning = self.text, self.apart
            raise self.failure
        return GeneratedAnswer(
            raw_text=self.text, text=self.text, reasoning=self.apart, finish_reason="stop"
        )


def answered(engine: OneAnswer, *turns: Turn) -> RunFinished:
    run = Run(run=1, turns=turns or (Turn(text="What?"),), generation=Generation())
    ignore: Callable[[Any], None] = lambda event: None  # noqa: E731
    return answer_all(run, cast(Engine, engine), ignore, ignore)


@pytest.mark.parametrize(
    "inline",
    [text for text, thought, answer in WITH_REASONING if (thought, answer) == (THOUGHT, ANSWER)],
)
@pytest.mark.parametrize("metric", ["exact", "contains", "anls", "vqa"])
def test_reasoning_scores_the_same_inline_and_apart(inline: str, metric: str) -> None:
    apart = answered(OneAnswer(ANSWER, THOUGHT))
    within = answered(OneAnswer(inline))
    assert (within.text, within.reasoning) == (apart.text, apart.reasoning)
    assert within.raw_text == inline
    scores = [
        [(s.metric, s.value) for s in score_answer(each.text, [ANSWER] * 10, [metric])]
        for each in (apart, within)
    ]
    assert scores[0] == scores[1]
    assert scores[0][0][1] == 1


def test_wrong_answer_after_a_right_thought_scores_nothing() -> None:
    finished = answered(OneAnswer("<think>Is it red? No.</think>Blue"))
    (score,) = score_answer(finished.text, ["red"], ["contains"])
    assert score.value == 0


def test_later_turns_get_the_answer_without_its_reasoning() -> None:
    finished = answered(
        OneAnswer(f"<think>{THOUGHT}</think>{ANSWER}"), Turn(text="What?"), Turn(text="Sure?")
    )
    assert finished.transcript
    assert [turn["text"] for turn in finished.transcript] == ["What?", ANSWER, "Sure?", ANSWER]


@pytest.mark.parametrize(
    ("text", "apart"),
    [(f"<think>{THOUGHT}</think>{ANSWER}", None), (ANSWER, f"{THOUGHT}\n")],
)
def test_text_of_a_failed_run_is_split_too(text: str, apart: str | None) -> None:
    failure = WorkerFailure("image_ignored", "no image")
    with pytest.raises(WorkerFailure):
        answered(OneAnswer(text, apart, failure))
    assert (failure.text, failure.reasoning) == (ANSWER, THOUGHT)


@pytest.mark.parametrize(
    ("text", "answer"),
    [(ANSWER, ANSWER), (f"\n</think>\n\n{ANSWER}", ANSWER), ("a\n</think>\nb", "a </think> b")],
)
def test_text_after_a_reasoning_that_came_apart_is_all_answer(text: str, answer: str) -> None:
    finished = answered(OneAnswer(text, THOUGHT))
    assert (finished.reasoning, finished.text) == (THOUGHT, answer)
