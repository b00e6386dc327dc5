"""Evaluation of texts: checks of their form, reference answers and scores."""

from __future__ import annotations

from typing import Annotated, TypedDict


class Checks(TypedDict, total=False):
    """Measured properties of a run's text, without a verdict; `vlmsweep help scoring` has examples.

    One row per run with text. For a run that was cut short, the text so far is checked, without
    its special tokens. Only the first 100,000 characters of a text are checked.
    """

    run_id: Annotated[int, "The run."]
    empty: Annotated[int, "1 when nothing in the text is visible, else 0."]
    cut_off: Annotated[
        int | None,
        "1 when it ended at max_new_tokens, 0 when the model ended it. NULL when not finished.",
    ]
    repetition: Annotated[
        float | None,
        "Share of its characters, 0 to 1, in a sequence of N characters that occurred"
        " earlier in it, without regard to case; N is half its length, 6 at least and 20 at most."
        " Only the last 20,000 characters of a text are checked. Below 0.1 in ordinary text,"
        " near 1 in a loop. NULL without characters.",
    ]
    special_tokens: Annotated[
        int | None,
        "Special tokens and chat markers left in it, such as <|im_end|>. NULL when not finished.",
    ]
    prompt_echoed: Annotated[
        int | None,
        "1 when it contains the whole question (the user's last turn), without regard to case"
        " and its final punctuation, else 0. NULL for a question of fewer than three words.",
    ]
    language: Annotated[
        str | None,
        "ISO 639 code of its language, by fastText's lid.176. NULL when its letters are fewer"
        " than 10 bytes of UTF-8 or no language reaches a probability of 0.5.",
    ]
    characters: Annotated[int, "Its length in characters (code points)."]
    words: Annotated[int, "Its words: letters and digits in a row, it's and well-kept being one."]


class ReferenceAnswers(TypedDict, total=False):
    """The reference answers of a job and how it is scored; only for jobs that have some."""

    job_id: Annotated[int, "The job."]
    answers: Annotated[str, "JSON list of the answers; for vqa one for each of ten people."]
    metrics: Annotated[str, "JSON list of metrics, such as exact; the first sums up."]


class Scores(TypedDict, total=False):
    """The score of a run's text by one metric. Only runs that ended ok have scores."""

    run_id: Annotated[int, "The run."]
    metric: Annotated[str, "The metric's name, such as exact; `vlmsweep help scoring` lists them."]
    value: Annotated[float, "0 to 1; of exact and contains 0 or 1."]
    expected: Annotated[
        str,
        "The reference answer it was compared with: the best match, else the first; of vqa"
        " the most frequent.",
    ]


class Scored(TypedDict, total=False):
    """View: one row per job, of its latest run, with checks and scores."""

    sweep: Annotated[str, "The sweep's name, or its uid if unnamed."]
    model: Annotated[str, "The model's name in the sweep."]
    image: Annotated[str | None, "The image's file name; several with commas. NULL without one."]
    prompt: Annotated[str, "The prompt's name, or its text if unnamed."]
    repeat: Annotated[int, "Number of the repeat, from 1."]
    outcome: Annotated[str | None, "As runs.outcome; NULL when not run yet or running."]
    text: Annotated[str | None, "As runs.text; NULL when the run did not finish."]
    empty: Annotated[int | None, "As checks.empty; NULL without text."]
    cut_off: Annotated[int | None, "As checks.cut_off; NULL when not finished."]
    repetition: Annotated[float | None, "As checks.repetition; NULL without text."]
    special_tokens: Annotated[int | None, "As checks.special_tokens; NULL when not finished."]
    prompt_echoed: Annotated[int | None, "As checks.prompt_echoed; NULL when unknown."]
    language: Annotated[str | None, "As checks.language; NULL when unknown."]
    characters: Annotated[int | None, "As checks.characters; NULL without text."]
    words: Annotated[int | None, "As checks.words; NULL without text."]
    reference_answers: Annotated[
        str | None, "As reference_answers.answers; NULL when none is known."
    ]
    scores: Annotated[
        str | None, "JSON object, metric to score: scores ->> 'exact'; NULL when not scored."
    ]
    sweep_id: Annotated[int, "The sweep's row."]
    job_id: Annotated[int, "The job's row."]
    run_id: Annotated[int | None, "The run's row; NULL when not run yet."]


class ModelScores(TypedDict, total=False):
    """View: one row per model, sweep and metric, over each job's latest run.

    `vlmsweep show --scores` adds the 95% interval.
    """

    sweep: Annotated[str, "The sweep's name, or its uid if unnamed."]
    model: Annotated[str, "The model's name in the sweep."]
    metric: Annotated[str, "The metric's name, such as exact; `vlmsweep help scoring` lists them."]
    n: Annotated[int, "Questions scored; repeats of one are averaged first, and count once."]
    mean: Annotated[float, "Mean score of those questions, 0 to 1."]
    sweep_id: Annotated[int, "The sweep's row."]
    sweep_model_id: Annotated[int, "The row of the model's part in the sweep."]
