# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-test sanity on what the collection ships: `sanity.py [options of ansible-test sanity]`.

ansible-test wants a real path …/ansible_collections/meshops/locality, so the files are copied there. It also downloads
get-pip.py from a host of its own: a stand-in in its cache takes ensurepip's pip instead. It keeps everything in HOME:
it gets one of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tarball import shipped_files
from testrun.steps import BIN, LOGS, ROOT, WORK

AREA = WORK / "sanity"
HOME = AREA / "home"
COPY = AREA / "ansible_collections" / "meshops" / "locality"
GET_PIP = '''"""Stand-in for the get-pip.py of ansible-test: ensurepip, then the pinned pip from the usual index."""
import os, subprocess, sys
environment = dict(os.environ)  # ensurepip removes PIP_* (index, certificate) from os.environ
import ensurepip
ensurepip.bootstrap(default_pip=True)
arguments = [a for a in sys.argv[1:] if a not in ("--no-setuptools", "--no-wheel")]
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *arguments], env=environment))
'''
#: The names ansible-test of core 2.19 and of 2.20/2.21 look for.
GET_PIP_VERSIONS = ("24_2", "25_2")


def copy() -> None:
    """Make the copy anew, with kubernetes.core next to it."""
    shutil.rmtree(COPY, ignore_errors=True)
    for file in shipped_files():
        # Manifests to try predictions on: several documents in a file, as Kubernetes has them, which sanity refuses.
        if file.parts[:2] == ("docs", "examples"):
            continue
        target = COPY / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, target)
    # ansible-test lists files with the git it finds above: this repository's, which ignores .work.
    subprocess.run(["git", "init", "--quiet"], cwd=COPY, check=True)
    link = AREA / "ansible_collections" / "kubernetes"
    link.unlink(missing_ok=True)
    link.symlink_to(Path(sysconfig.get_paths()["purelib"]) / "ansible_collections" / "kubernetes")
    # The caller's package index, certificate and download cache stay valid in the other HOME.
    for name in (".config/pip", ".pip", ".cache/pip"):
        mine, theirs = HOME / name, Path.home() / name
        if theirs.is_dir() and not mine.exists():
            mine.parent.mkdir(parents=True, exist_ok=True)
            mine.symlink_to(theirs, target_is_directory=True)
    cache = HOME / ".ansible" / "test" / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in GET_PIP_VERSIONS:
        (cache / f"get_pip_{version}.py").write_text(GET_PIP, encoding="utf-8")


def main() -> int:
    """Run ansible-test and leave its JUnit files where the count is made."""
    copy()
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    command = [str(BIN / "ansible-test"), "sanity", "--python", python, "--junit", "--color", "no", *sys.argv[1:]]
    environment = {**os.environ, "HOME": str(HOME), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=COPY, env=environment, check=False)
    reports = LOGS / "junit" / "sanity"
    reports.mkdir(parents=True, exist_ok=True)
    for file in (COPY / "tests" / "output" / "junit").glob("*.xml"):
        shutil.copy2(file, reports)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
