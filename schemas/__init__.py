"""Types shared by the supervisor's side (`runner/`) and the model's side (`workers/`).

`commands`, `events` and `family` are plain standard-library dataclasses, so that a worker can
start in any environment. `sweep` (the file a user writes) needs pydantic, `rows` documents the
database, and `stream` is what `--json` prints; only the runner imports those three.
There is no behaviour here.
"""
