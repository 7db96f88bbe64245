# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache: one directory per thing that was built, named by the hash of everything it was built from.

Layout below the cache's root:
    entries/<name>-<key>/   a finished thing; it appears by one rename, so what exists is complete
    work/<name>-<key>.<n>/  a thing in the making
    logs/<name>.log         the whole output of the last attempt
    lock                    held by the one build that runs
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
import typing as t
from pathlib import Path

import filelock

from meshops_sandbox.build.artifacts import BuildError


def root() -> Path:
    """Where this user's cache is: MESHOPS_SANDBOX_CACHE, or meshops-locality below XDG_CACHE_HOME or ~/.cache."""
    chosen = os.environ.get("MESHOPS_SANDBOX_CACHE")
    if chosen:
        return Path(chosen).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "meshops-locality"


def key(*inputs: str | Path) -> str:
    """A short hash of texts and of the names and contents of files. Directories are walked; for small inputs only."""
    digest = hashlib.sha256()

    def feed(kind: bytes, data: bytes) -> None:
        digest.update(kind + len(data).to_bytes(8, "big") + data)

    for item in inputs:
        if isinstance(item, str):
            feed(b"t", item.encode())
            continue
        files = sorted(path for path in item.rglob("*") if path.is_file()) if item.is_dir() else [item]
        for path in files:
            feed(b"n", str(path.relative_to(item.parent)).encode())
            feed(b"f", path.read_bytes())
    return digest.hexdigest()[:16]


class Cache:
    """The cache below `base`."""

    def __init__(self, base: Path | None = None) -> None:
        self.base = base or root()
        self.entries = self.base / "entries"
        self.work = self.base / "work"
        self.logs = self.base / "logs"

    def entry(self, name: str, digest: str) -> Path:
        """The path of a thing, whether it is there or not."""
        return self.entries / f"{name}-{digest}"

    def log(self, name: str) -> Path:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self.logs / f"{name}.log"

    @contextlib.contextmanager
    def making(self, final: Path) -> t.Iterator[Path]:
        """A fresh directory that becomes `final` when the block ends well and vanishes when it does not."""
        self.work.mkdir(parents=True, exist_ok=True)
        self.entries.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{final.name}.", dir=self.work))
        try:
            scratch.chmod(0o755)
            yield scratch
            if not final.exists():
                scratch.rename(final)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    @contextlib.contextmanager
    def locked(self, waiting: t.Callable[[], None]) -> t.Iterator[None]:
        """Only one build runs per cache; `waiting` is called once when another one does. The kernel drops the lock of a
        dead build."""
        try:
            self.base.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BuildError(
                f"The build cache {self.base} cannot be created: {error.strerror}; set MESHOPS_SANDBOX_CACHE to "
                "another place."
            ) from error
        lock = filelock.FileLock(self.base / "lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            waiting()
            lock.acquire()
        try:
            yield
        finally:
            lock.release()
