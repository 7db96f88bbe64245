# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python reads this at its start when this folder is on PYTHONPATH, as it is for the playbooks of the tests.

Ansible sends a module with all that it imports as source in a zip file, and Python compiles it anew for every task: a
third of what a task costs. Here a module imports the same files from where they are, compiled once. That the zip file
holds all a module needs is shown by tests/integration/test_as_task.py and by molecule, which do without this.
"""

from __future__ import annotations

import os
import sys
import types

if any("AnsiballZ_" in word for word in sys.orig_argv):
    import ansible.module_utils._internal._ansiballz._loader
    import ansible.module_utils.basic  # noqa: F401 - for the module

    collections = types.ModuleType("ansible_collections")
    checkout = os.path.join(os.path.dirname(__file__), "..", "..", ".work", "collections")
    folders = [checkout, *sys.path]
    collections.__path__ = [
        path for folder in folders if os.path.isdir(path := os.path.join(folder, "ansible_collections"))
    ]
    sys.modules["ansible_collections"] = collections
