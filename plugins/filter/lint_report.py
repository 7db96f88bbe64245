# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: lint_report
short_description: Show findings as text, JSON, JUnit XML or SARIF
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Renders what P(meshops.locality.locality_lint#filter) returned, for people or for a CI system.
options:
  _input:
    description: The findings.
    type: list
    elements: dict
    required: true
  format:
    description:
      - V(text) is for people, V(json) has a schema and a version in it, V(junit) is for test reports, V(sarif) (2.1.0)
        for code hosts.
    type: str
    choices: [text, json, junit, sarif, code_quality]
    default: text
  strict:
    description: Whether warnings are failures in V(junit), too, and not only errors.
    type: bool
    default: false
  width:
    description: How many characters a line of V(text) may have.
    type: int
    default: 110
seealso:
  - plugin: meshops.locality.locality_lint
    plugin_type: filter
"""

EXAMPLES = r"""
- name: For the code host
  ansible.builtin.copy:
    content: "{{ findings | meshops.locality.lint_report(format='sarif') }}"
    dest: lint.sarif
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: The report.
  type: str
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.meshops.locality.plugins.module_utils._errors import LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._lint.result_json import findings
from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain
from ansible_collections.meshops.locality.plugins.module_utils._report.lint import report

_NAME = "meshops.locality.lint_report"


# The name of the option is Ansible's own word for this.
def lint_report(value: t.Any, format: t.Any = "text", *, strict: t.Any = False, width: t.Any = 110) -> str:
    """Render findings; see DOCUMENTATION."""
    if not isinstance(strict, bool):
        raise AnsibleFilterError(f"{_NAME}: strict must be true or false, not {type(strict).__name__}")
    if not isinstance(width, int) or isinstance(width, bool) or width < 40:
        raise AnsibleFilterError(f"{_NAME}: width must be a whole number from 40 up, not {width!r}")
    try:
        return report(findings(plain(value)), str(format), strict=strict, width=int(width))
    except LocalityError as error:
        raise AnsibleFilterError(f"{_NAME}: {error}") from error


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"lint_report": lint_report}
