# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the process that tests/module_process.py forks from has imported: what every module of the collection imports,
also only when it is asked something, and what Ansible's wrapper does."""

from __future__ import annotations

import gc
import importlib
import sys

from tests.conftest import ROOT  # makes the collection importable
from tests.module_process import PLUGINS

for name in ("ansible.module_utils._internal._ansiballz._loader", "kubernetes.dynamic"):
    importlib.import_module(name)
for path in (ROOT / "plugins" / "modules").glob("*.py"):
    importlib.import_module(f"{PLUGINS}.{path.stem}")
    del sys.modules[f"{PLUGINS}.{path.stem}"]  # runpy warns of a module that is there before it is run

# What is here now stays: the forked processes neither look through it for garbage nor get copies of it by that.
gc.collect()
gc.freeze()
