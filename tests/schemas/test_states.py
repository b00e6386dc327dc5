"""The phases that a worker reports are phases that the database may hold."""

from __future__ import annotations

from typing import get_args

from schemas.events import WorkerPhase
from schemas.states import Phase


def test_worker_reports_every_phase_but_preparation() -> None:
    assert set(get_args(WorkerPhase)) == set(Phase) - {Phase.PREPARE}
