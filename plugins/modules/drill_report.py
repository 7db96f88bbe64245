#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: drill_report
short_description: Write or check the evidence folder of a drill
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Makes the evidence folder of a drill from its C(drill.json) - C(report.html), one page that needs no network,
    C(timeline.csv), C(junit.xml), C(journal.jsonl), in which each line has the hash of the line before, and
    C(manifest.sha256) with the hash of every file.
  - Values that look like credentials are taken out of everything, C(drill.json) included.
  - Or checks that the files of a folder are still those that were written.
  - Runs where C(ansible-playbook) runs and needs no cluster. The charts need the Python library C(vl-convert-python);
    where it is missing, the page has tables instead, and says so.
options:
  path:
    description: The C(drill.json) of a drill, or the folder that has it.
    type: path
    required: true
  folder:
    description: Write into this folder. Without it, the files lie beside C(drill.json).
    type: path
  state:
    description:
      - V(written) writes the files. The same drill always gives the same files.
      - V(verified) changes nothing, and fails when a file is missing or is not what the manifest says, or when the
        journal is cut.
    type: str
    choices: [written, verified]
    default: written
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what would change, without changing anything.
    support: full
  diff_mode:
    description: Returns what changed (or would change) as a diff.
    support: none
  idempotent:
    description: When run twice in a row without other changes, the second run changes nothing.
    support: full
"""

EXAMPLES = r"""
- name: Make the report again
  meshops.locality.drill_report:
    path: evidence/d-20261126-164012-3f9a2c/drill.json

- name: Is the evidence as it was written
  meshops.locality.drill_report:
    path: evidence/d-20261126-164012-3f9a2c
    state: verified
"""

RETURN = r"""
folder:
  description: The evidence folder.
  type: str
  returned: success
files:
  description: The names of its files.
  type: list
  elements: str
  returned: success
report:
  description: The page for people.
  type: str
  returned: success
outcome:
  description: The outcome of the drill.
  type: str
  returned: success
problems:
  description: What is wrong with the files of the folder. When there is something, the module fails.
  type: list
  elements: str
  returned: always
"""

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._module.drill_report import drill_report
from ansible_collections.meshops.locality.plugins.module_utils._module_runner import run_offline

SPEC: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "required": True},
    "folder": {"type": "path"},
    "state": {"type": "str", "choices": ["written", "verified"], "default": "written"},
}


def main() -> None:
    """Run the module."""
    run_offline(drill_report, SPEC)


if __name__ == "__main__":
    main()
