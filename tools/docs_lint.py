# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""antsibull-docs over the documentation of all plugins and roles: markup, references, options that do not exist.
Then the site of the collection is built, without a warning.

It runs in an environment of its own with ansible-core alone: next to the whole `ansible` package it reads the
documentation of a hundred other collections first (160 s instead of 5 s).
"""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from testrun.steps import CHECKOUT, ROOT, WORK
from testrun.venvs import venv, with_path

AREA = WORK / "docs"
SITE = AREA / "site"
PACKAGES = [f"{name}=={importlib.metadata.version(name)}" for name in ("ansible-core", "antsibull-docs")]
CONFIGURATION = """project = "meshops.locality"
extensions = ["sphinx_antsibull_ext"]
html_theme = "basic"
default_role = "any"
"""
#: Labels of docs.ansible.com, whose site has all collections. Here they get a page of their own.
ELSEWHERE = (
    "action_plugins",
    *("common_return_values", "ansible_configuration_settings"),
    *(f"ansible_collections.kubernetes.core.{name}_module" for name in ("k8s", "k8s_info")),
)


def neighbour(folder: Path, name: str, target: Path) -> None:
    """Make the collection at `target` findable as `name` below `folder`."""
    link = folder / "ansible_collections" / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def main() -> int:
    """Lint, then build; kubernetes.core is the only other collection whose names may be referred to."""
    binaries = venv(AREA / "venv", PACKAGES)
    neighbour(AREA, "kubernetes", Path(sysconfig.get_paths()["purelib"]) / "ansible_collections" / "kubernetes")
    antsibull = str(binaries / "antsibull-docs")
    lint = [antsibull, "lint-collection-docs", "--plugin-docs", "--validate-collection-refs", "all"]
    lint += ["--disallow-unknown-collection-refs", str(ROOT)]
    environment = with_path(binaries, ANSIBLE_COLLECTIONS_PATH=str(AREA))
    if code := subprocess.run(lint, cwd=ROOT, env=environment, check=False).returncode:
        return code
    neighbour(SITE, "meshops/locality", CHECKOUT)
    pages = SITE / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    environment = with_path(binaries, ANSIBLE_COLLECTIONS_PATH=str(SITE))
    collection = [antsibull, "collection", "--use-current", "--squash-hierarchy", "--fail-on-error"]
    collection += ["--dest-dir", str(pages), "meshops.locality"]
    if code := subprocess.run(collection, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
        return code
    (pages / "conf.py").write_text(CONFIGURATION, encoding="utf-8")
    labels = "".join(f".. _{label}:\n\n{label}\n{'-' * len(label)}\n\n" for label in ELSEWHERE)
    (pages / "elsewhere.rst").write_text(f":orphan:\n\nElsewhere\n=========\n\n{labels}", encoding="utf-8")
    build = [
        str(binaries / "sphinx-build"),
        "--quiet",
        "--fail-on-warning",
        "--keep-going",
        str(pages),
        str(SITE / "html"),
    ]
    return subprocess.run(build, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
