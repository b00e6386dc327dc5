"""Running jobs: the queue, the supervisor, and one worker's life from shim to verdict."""
