"""Events that several tests need."""

from schemas import stream

STARTED = stream.SweepStarted(
    sweep="s", name=None, database="", models=[], jobs=0, jobs_by_model={}
)
