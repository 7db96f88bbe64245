# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the process that tests/module_process.py forks from has imported: every module of the collection, and what they
import only when they are asked something."""

from __future__ import annotations

import importlib

import kubernetes.dynamic  # noqa: F401

from tests.conftest import ROOT  # makes the collection importable
from tests.module_process import PLUGINS

for path in (ROOT / "plugins" / "modules").glob("*.py"):
    importlib.import_module(f"{PLUGINS}.{path.stem}")
