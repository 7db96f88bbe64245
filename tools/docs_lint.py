# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""antsibull-docs over the documentation of all plugins and roles: markup, references, options that do not exist.

It runs in an environment of its own with ansible-core alone: next to the whole `ansible` package it reads the
documentation of a hundred other collections first (160 s instead of 5 s).
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from testrun.steps import ROOT, WORK

AREA = WORK / "docs"
VENV = AREA / "venv"
PACKAGES = [f"{name}=={importlib.metadata.version(name)}" for name in ("ansible-core", "antsibull-docs")]


def make_venv() -> None:
    """Make the environment, unless it holds these versions already."""
    constraints = ROOT / "requirements" / "constraints.txt"
    digest = hashlib.sha256(f"{PACKAGES} {sys.version}".encode() + constraints.read_bytes()).hexdigest()
    stamp = VENV / ".stamp"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--constraint", str(constraints), *PACKAGES], check=True)
    stamp.write_text(digest, encoding="utf-8")


def main() -> int:
    """Lint; kubernetes.core is the only other collection whose names may be referred to."""
    make_venv()
    neighbours = AREA / "ansible_collections" / "kubernetes"
    neighbours.parent.mkdir(parents=True, exist_ok=True)
    neighbours.unlink(missing_ok=True)
    neighbours.symlink_to(Path(sysconfig.get_paths()["purelib"]) / "ansible_collections" / "kubernetes")
    lint = ["lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "all"]
    environment = {
        **os.environ,
        "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(AREA),
    }
    command = [str(VENV / "bin" / "antsibull-docs"), *lint, "--disallow-unknown-collection-refs", str(ROOT)]
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
