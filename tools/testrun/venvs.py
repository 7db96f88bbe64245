# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual environments of their own for tools and for other versions than those of .venv."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

from testrun.steps import ROOT

CONSTRAINTS = ROOT / "requirements" / "constraints.txt"


def venv(
    folder: Path,
    packages: t.Sequence[str],
    *,
    python: t.Sequence[str] = (sys.executable,),
    constraints: Path | None = CONSTRAINTS,
) -> Path:
    """Make a virtual environment with these packages in `folder`, unless it holds them already; returns its bin folder.

    `python` is the command line of the interpreter, `packages` are requirements as pip takes them. Raises
    CalledProcessError with pip's exit code when they cannot be installed.
    """
    pinned = constraints.read_bytes() if constraints else b""
    digest = hashlib.sha256(f"{list(packages)} {list(python)} {sys.version}".encode() + pinned).hexdigest()
    stamp = folder / ".stamp"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
            return folder / "bin"
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([*python, "-m", "venv", str(folder)], check=True)
        command = [*python[:-1], str(folder / "bin" / "python")]
        command += ["-m", "pip", "install", "--no-compile", "--quiet", "--disable-pip-version-check"]
        command += ["--constraint", str(constraints)] if constraints else []
        subprocess.run([*command, *packages], check=True)
        stamp.write_text(digest, encoding="utf-8")
    return folder / "bin"


def with_path(folder: Path, **more: str) -> dict[str, str]:
    """Return this process's environment with `folder` first on PATH, without settings of Ansible, and with `more`."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "K8S_AUTH_"))}
    return {**own, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}", **more}
