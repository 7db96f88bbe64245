# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps that only read files need not run again while no file is another one: they are remembered when they pass.

Only steps of the lane `files` are: what a cluster does is never decided by files alone. The whole checkout counts, so
that nobody has to know which step reads which file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import hashlib
import json
import os
import subprocess
import sys
import threading
import typing as t
from pathlib import Path

from testrun.steps import BIN, FILES, ROOT, WORK, Count, Step

#: Whoever sets one of these wants every step to run.
EVERYTHING = ("CI", "FRESH")


@dataclasses.dataclass(frozen=True)
class Before:
    """How an earlier run of a step on the same files ended: it passed, with so many tests, at that local time."""

    passed: int
    when: str


def fingerprint() -> str:
    """The hash of all files of this checkout that git tracks, or would, of the interpreter and of what .venv holds.

    Raises subprocess.CalledProcessError where git cannot list them.
    """
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    digest = hashlib.sha256(f"{ROOT} {sys.version} {os.cpu_count()}".encode())
    stamps = sorted(BIN.parent.glob(".stamp-*"))
    for path in [*stamps, *(ROOT / os.fsdecode(name) for name in sorted(set(listed.stdout.split(b"\0"))) if name)]:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):  # deleted, but not in git yet
            content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
            told = f"\0{path}\0{path.lstat().st_mode}\0{hashlib.sha256(content).hexdigest()}"
            digest.update(told.encode(errors="surrogateescape"))
    return digest.hexdigest()


class Memory:
    """Which steps have passed with the files as they are now. Without git nothing is remembered."""

    def __init__(self, file: Path = WORK / "passed.json") -> None:
        self._file = file
        self._lock = threading.Lock()
        self._files = self._fingerprint()
        self._told: dict[str, t.Any] = {}
        with contextlib.suppress(OSError, ValueError):
            self._told = dict(json.loads(file.read_text(encoding="utf-8")))

    @staticmethod
    def _fingerprint() -> str:
        try:
            return fingerprint()
        except (OSError, subprocess.CalledProcessError):
            return ""

    @staticmethod
    def _fits(step: Step) -> bool:
        return step.lane == FILES and step.count is not Count.NOTHING

    def before(self, step: Step) -> Before | None:
        """How this very step ended on these very files; None when it has to run."""
        told = self._told.get(step.name)
        if not self._files or not self._fits(step) or not isinstance(told, dict):
            return None
        if (told.get("files"), told.get("command")) != (self._files, list(step.command)):
            return None
        with contextlib.suppress(KeyError, TypeError, ValueError):
            return Before(int(told["passed"]), str(told["when"]))
        return None

    def ended(self, step: Step, passed: int | None) -> None:
        """Remember a step that passed with so many tests, or forget one that did not (None)."""
        if not self._fits(step):
            return
        with self._lock:
            self._told.pop(step.name, None)
            # Somebody may have written a file meanwhile: then nobody knows what the step has read.
            if passed is not None and self._files and self._fingerprint() == self._files:
                when = datetime.datetime.now().strftime("%Y-%m-%d %H:%M")
                told = {"files": self._files, "command": list(step.command), "passed": passed, "when": when}
                self._told[step.name] = told
            with contextlib.suppress(OSError):
                fresh = self._file.with_suffix(".new")
                fresh.write_text(json.dumps(self._told, indent=1, sort_keys=True), encoding="utf-8")
                fresh.replace(self._file)


def everything_wanted(environment: t.Mapping[str, str]) -> bool:
    """Whether the caller asked for every step, unchanged or not."""
    return any(environment.get(name, "").lower() not in ("", "0", "false", "no") for name in EVERYTHING)
