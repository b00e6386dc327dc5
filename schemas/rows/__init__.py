"""Every table and view of the database, column by column: meaning and when it is NULL.

Single source for the documentation and the types: `docs/results.md` is generated from it and a test
compares it with a real database. `runner/database/migrations.py` creates the tables; this module
only describes them.

Times of day are UTC text (ISO 8601, microseconds), durations seconds, sizes bytes, rates tokens
per second; nothing is rounded and unknown is NULL, never 0.
"""

from __future__ import annotations

from .execution import Environments as Environments
from .execution import MemorySamples as MemorySamples
from .execution import Runs as Runs
from .execution import Workers as Workers
from .inputs import Images, JobImages, Jobs, Models, Prompts, SweepModels
from .inputs import Sweeps as Sweeps
from .queue import DatabaseToken, Requests
from .scores import Checks, ModelScores, ReferenceAnswers, Scores
from .scores import Scored as Scored
from .search import PromptsFts, RunsFts
from .views import Results as Results
from .views import Summary as Summary

TABLES: dict[str, type] = {
    "sweeps": Sweeps,
    "sweep_models": SweepModels,
    "models": Models,
    "images": Images,
    "prompts": Prompts,
    "jobs": Jobs,
    "job_images": JobImages,
    "workers": Workers,
    "runs": Runs,
    "memory_samples": MemorySamples,
    "environments": Environments,
    "requests": Requests,
    "database_token": DatabaseToken,
    "checks": Checks,
    "reference_answers": ReferenceAnswers,
    "scores": Scores,
    "runs_fts": RunsFts,
    "prompts_fts": PromptsFts,
}
VIEWS: dict[str, type] = {
    "results": Results,
    "summary": Summary,
    "scored": Scored,
    "model_scores": ModelScores,
}
