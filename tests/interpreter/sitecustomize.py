# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Python reads this at its start when this folder is on PYTHONPATH, as it is for the playbooks of the tests.

Ansible sends a module with all that it imports as source in a zip file, and Python compiles and imports it anew for
every task: most of what a task costs. Here a process that has imported the same files already is forked, and runs what
Ansible has sent. That the zip file holds all a module needs is shown by tests/integration/test_as_task.py, the README's
commands and molecule, which do without this.
"""

from __future__ import annotations

import os
import sys

if (
    len(sys.orig_argv) > 1
    and os.path.basename(sys.orig_argv[1]).startswith("AnsiballZ_")
    and "MESHOPS_TEST_MODULES" in os.environ
    and "KUBECONFIG" not in os.environ  # which is read when the Kubernetes client is imported
):
    import json
    import socket

    wanted = {"pid": os.getpid(), "argv": sys.orig_argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(os.environ["MESHOPS_TEST_MODULES"])
        connection.sendall(json.dumps(wanted).encode() + b"\n")
        code = int(connection.makefile().read() or 1)
    os._exit(code if code >= 0 else 128 - code)
