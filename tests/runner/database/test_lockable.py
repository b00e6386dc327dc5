"""Places that cannot hold a database are reported as such, not as one in use."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from runner.database.store import Store
from runner.errors import BusyError, DatabaseError


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and /sys")
@pytest.mark.parametrize("folder", ["/proc", "/sys", "/proc/self"])
def test_folder_of_the_kernel_cannot_hold_a_database(folder: str) -> None:
    with pytest.raises(DatabaseError, match="no file can be created in") as raised:
        Store(Path(folder) / "x.db")
    assert not isinstance(raised.value, BusyError)
    assert "--db" in (raised.value.hint or "")


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
def test_read_only_folder_cannot_hold_a_database(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DatabaseError, match="permission denied"):
        Store(tmp_path / "x.db")


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def flock(*_: Any) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(DatabaseError, match="its file system cannot lock files"):
        Store(tmp_path / "x.db")


def test_database_in_use_is_still_reported_as_such(tmp_path: Path) -> None:
    first = Store(tmp_path / "x.db")
    with pytest.raises(BusyError, match="another vlmsweep"):
        Store(tmp_path / "x.db")
    first.close()
    Store(tmp_path / "x.db").close()
