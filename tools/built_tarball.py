# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tarball for several steps of `make test`: this builds it, and `built` only when a file has changed since."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
from pathlib import Path

from tarball import DIST, build, files_of_repository, of_last_commit, tarball
from testrun.steps import ROOT

STAMP = DIST / ".built-of"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sources() -> str:
    """Return a digest of all that a tarball depends on: every file of the repository, its tools and pinned versions
    included, and the commit, whose date is in it."""
    files = [f"{name} {(ROOT / name).stat().st_mode} {_digest(ROOT / name)}" for name in files_of_repository()]
    return hashlib.sha256("\n".join([of_last_commit("%H"), *files]).encode()).hexdigest()


def built(*, anew: bool = False) -> Path:
    """Return the tarball of the files as they are now. Raises CalledProcessError when a tool refuses."""
    DIST.mkdir(parents=True, exist_ok=True)
    with (DIST / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        now, path = sources(), tarball()
        if not anew and STAMP.is_file() and path.is_file() and STAMP.read_text() == f"{now} {_digest(path)}":
            return path
        STAMP.unlink(missing_ok=True)
        path = build()
        if sources() == now:  # nobody wrote meanwhile
            STAMP.write_text(f"{now} {_digest(path)}")
        return path


if __name__ == "__main__":
    try:
        path = built(anew=True)
    except subprocess.CalledProcessError as error:
        sys.exit(f"tarball: {error.cmd[0]} failed (exit code {error.returncode}), see above.")
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
