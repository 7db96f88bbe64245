#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: print_text
short_description: Print a text as it is
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Prints lines on the standard output of C(ansible-playbook), without quotes and escapes, with every stdout callback
    for people and without any setting. Tables and reports of this collection are meant to be read this way.
  - With a callback for programs (V(ansible.posix.json), V(ansible.posix.jsonl)) nothing is printed; the text is in the
    result.
  - This is an action of the controller. It runs nothing on the host.
options:
  text:
    description: The text, or a list of lines.
    type: raw
    required: true
attributes:
  action:
    description: Has an action plugin on the controller.
    support: full
  check_mode:
    description: Can run in C(check_mode) and return what would change, without changing anything.
    support: full
    details: Printing changes nothing.
  diff_mode:
    description: Returns what changed (or would change) as a diff.
    support: none
"""

EXAMPLES = r"""
- name: Services and losses
  meshops.locality.print_text:
    text: "{{ mesh.snapshot | meshops.locality.resilience_matrix | meshops.locality.prediction_table }}"
"""

RETURN = r"""
msg:
  description: The text.
  type: str
  returned: always
"""
