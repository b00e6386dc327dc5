"""Creates a cached environment, or returns the existing one.

One process at a time creates it, in a temporary folder that is renamed when it is complete. After
a failure only the log and the manifest, with the error, are left.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from .. import own_packages
from ..process import guarded
from ..process.launcher import WorkerSpec
from ..text.sanitize import display_path
from .cache import CachedEnvironment, EnvironmentManifest, cached_environment
from .probe import InterpreterError, probe

LIMIT_S = 3600.0


def build(
    base: str,
    requirements: Sequence[str],
    say: Callable[[str], None],
    limit_s: float = LIMIT_S,
    on_idle: Callable[[], None] | None = None,
) -> CachedEnvironment:
    """Return the environment with these packages on top of `base`; create it if it is missing.

    `say` gets progress lines, none if the environment exists. `on_idle` is called several times
    per second during the creation. Raises InterpreterError.
    """
    wanted = cached_environment(probe(base), requirements)
    if wanted.exists:
        return wanted
    wanted.folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    until = time.monotonic() + limit_s
    with build_lock(wanted, say, limit_s):
        if not wanted.exists:
            create(
                wanted, EnvironmentManifest(base, list(requirements)), say, until, limit_s, on_idle
            )
    return wanted


@contextmanager
def build_lock(
    wanted: CachedEnvironment, say: Callable[[str], None], limit_s: float
) -> Iterator[None]:
    """Hold the lock for creating an environment; waits at most `limit_s` seconds for it.

    Raises InterpreterError.
    """
    lock = FileLock(wanted.sidecar_file("lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("waiting: another vlmsweep is creating it")
        try:
            lock.acquire(timeout=limit_s)
        except Timeout:
            message = f"another vlmsweep did not finish creating it within {limit_s:g} s"
            raise InterpreterError(message, hint=f"its log: {display_path(wanted.log)}") from None
    try:
        yield
    finally:
        lock.release()


def create(
    wanted: CachedEnvironment,
    note: EnvironmentManifest,
    say: Callable[[str], None],
    until: float,
    limit_s: float,
    on_idle: Callable[[], None] | None = None,
) -> None:
    """Create an environment under a shim; never leaves a partial one.

    Raises InterpreterError.
    """
    temporary = wanted.folder.with_name(f".{wanted.folder.name}.making")
    shutil.rmtree(temporary, ignore_errors=True)
    wanted.write(note)
    wanted.log.unlink(missing_ok=True)
    try:
        failure = run_creation(wanted, note, temporary, say, until, limit_s, on_idle)
        if failure is None:
            install(temporary, wanted.folder)
    except OSError as error:
        failure = str(error)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    if failure is not None:
        raise store_failure(wanted, note, failure)


def run_creation(
    wanted: CachedEnvironment,
    note: EnvironmentManifest,
    temporary: Path,
    say: Callable[[str], None],
    until: float,
    limit_s: float,
    on_idle: Callable[[], None] | None,
) -> str | None:
    """Run the process that fills `temporary`; return why it failed, None if it did not.

    Raises OSError.
    """
    listed = wanted.sidecar_file("txt")
    listed.write_text("\n".join(note.requirements) + "\n", encoding="utf-8")
    failed: list[str] = []

    def on_line(line: bytes) -> None:
        event = json.loads(line)
        failed.extend([event["failed"]] if "failed" in event else [])
        if "message" in event:
            say(event["message"])

    module = own_packages.command("runner.environments.create_env")
    argv = [*module, str(temporary), note.base, str(listed)]
    spec = WorkerSpec(log=wanted.log, stack=wanted.sidecar_file("stack"), argv=argv)
    end = guarded.run_guarded(spec, on_line, lambda: until, on_idle=on_idle)
    if end.overdue:
        failed.append(f"it was not created within {limit_s:g} s")
    elif end.status != 0 and not failed:
        failed.append(f"its creation ended with status {end.status}")
    return failed[0] if failed else None


def store_failure(
    wanted: CachedEnvironment, note: EnvironmentManifest, why: str
) -> InterpreterError:
    """Store in the manifest why there is no environment; return the error to raise."""
    message = f"the environment could not be created: {why}"
    hint = f"see {display_path(wanted.log)}; correct requirements: or python: in the sweep file"
    wanted.write(EnvironmentManifest(note.base, note.requirements, message, hint))
    return InterpreterError(message, hint=hint)


def install(complete: Path, folder: Path) -> None:
    """Rename a complete environment to its final name; replaces a broken one."""
    if folder.exists():
        shutil.rmtree(folder)
    complete.rename(folder)
