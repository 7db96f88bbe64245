# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: locality_lint
short_description: Find what keeps locality failover from working
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Looks at a mesh with all rules of this collection's lint and returns what they find, with numbers of this very mesh
    and values that would help. U(https://github.com/meshops/locality/blob/main/docs/lint.md) describes each rule.
  - Needs no cluster, only a snapshot.
options:
  next_version:
    description:
      - Version of Istio to compare with (rules ML601 to ML603); empty for none.
      - The default is the line after O(istio_version), as far as it is known.
    type: str
  min_severity:
    description: Leave out findings that are less grave.
    type: str
    choices: [error, warning, info]
    default: info
  suppress:
    description:
      - Findings to live with. Each entry has C(id) (of the rule), C(object) (a glob of V(Kind namespace/name); all when
        absent) and C(reason).
      - An entry without a reason suppresses nothing and is a finding itself (ML910).
      - "DestinationRules, VirtualServices, Sidecars, ServiceEntries and WorkloadEntries may also carry the annotation
        C(meshops.locality/lint-ignore) with C(ML202: why; ML521: why)."
    type: list
    elements: dict
    default: []
  observed:
    description:
      - What the clients' Envoys hold now, RV(meshops.locality.endpoints_info#module:clients). With it stale localities
        are found (ML507).
    type: list
    elements: dict
    default: []
  sources:
    description: Files (V(path:line)) that objects were read from, by V(Kind namespace/name).
    type: dict
    default: {}
extends_documentation_fragment:
  - meshops.locality.snapshot_input
  - meshops.locality.snapshot_input.version
seealso:
  - plugin: meshops.locality.lint_report
    plugin_type: filter
"""

EXAMPLES = r"""
- name: A mesh from manifests
  meshops.locality.topology_info:
    live: false
    manifests: [rendered.yaml]
  register: topology

- name: No errors
  ansible.builtin.assert:
    that: findings | selectattr('severity', 'eq', 'error') | selectattr('suppressed', 'eq', '') | length == 0
    fail_msg: "{{ findings | meshops.locality.lint_report }}"
  vars:
    findings: "{{ topology.snapshot | meshops.locality.locality_lint(suppress=accepted) }}"
    accepted:
      - id: ML521
        object: Service shop/*
        reason: Small places have one replica, and its neighbours take over.
"""

RETURN = r"""
_value:
  description: The findings, the gravest first. Suppressed ones are among them.
  type: list
  elements: dict
  contains:
    id:
      description: Id of the rule; it never changes its meaning.
      type: str
    severity:
      description: V(error), V(warning) or V(info).
      type: str
    title:
      description: What the rule looks for.
      type: str
    object:
      description: V(Kind namespace/name).
      type: str
    field:
      description: Path of the field, such as V(spec.trafficPolicy.outlierDetection.maxEjectionPercent).
      type: str
    message:
      description: What is the case, with numbers.
      type: str
    why:
      description: What it does, with numbers.
      type: str
    fix:
      description: A value that helps.
      type: str
    link:
      description: Istio's document or issue about it.
      type: str
    clients:
      description: How many clients it concerns.
      type: int
    named:
      description: The first few of them, V(namespace/name).
      type: list
      elements: str
    source:
      description: File and line of the object, where known.
      type: str
    suppressed:
      description: The reason for living with it; empty when it is not suppressed.
      type: str
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import filter_answer


def locality_lint(snapshot: t.Any, *values: t.Any, **options: t.Any) -> list[dict[str, t.Any]]:
    """Apply all rules to a snapshot; see DOCUMENTATION."""
    answer: list[dict[str, t.Any]] = filter_answer(
        "meshops.locality.locality_lint", "lint", snapshot, (), values, options
    )
    return answer


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"locality_lint": locality_lint}
