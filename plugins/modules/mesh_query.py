#!/usr/bin/python
# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mesh_query
short_description: Read a mesh and answer questions about it
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Reads a mesh as M(meshops.locality.topology_info) does, live, from manifests, or both, and answers one or several
    questions about it. It prints the answers as they are meant to be read and writes the files that are asked for.
  - The playbooks C(meshops.locality.plan), C(forecast), C(upgrade) and C(lint) are this task.
  - Takes every option of M(meshops.locality.topology_info) but O(ignore:path) and O(ignore:return_snapshot), the
    options for the cluster included. To read a cluster needs O(ignore:namespaces) or O(ignore:all_namespaces=true).
  - This is an action of the controller. It changes nothing in the cluster.
options:
  questions:
    description:
      - The questions by their names, each with the options of its filter - V(plan)
        (P(meshops.locality.locality_plan#filter)), V(matrix) (P(meshops.locality.resilience_matrix#filter)),
        V(forecast) (P(meshops.locality.locality_forecast#filter)), V(upgrade)
        (P(meshops.locality.upgrade_difference#filter)), V(lint) (P(meshops.locality.locality_lint#filter)).
      - V(assessment) says what survives what, the worst Service first, what to fix, and what was not judged. Its
        options are C(service), C(namespace), C(levels), C(rate), C(capacity), C(headroom), C(lose_clients) (false) and
        C(istio_version) as in P(meshops.locality.resilience_matrix#filter), and C(suppress) as in
        P(meshops.locality.locality_lint#filter).
      - A blank option is an option that is not set.
    type: dict
    required: true
  manifests:
    description:
      - Files and folders with Kubernetes objects, a list, or one text with commas. Relative paths are those of the
        person who runs C(ansible-playbook).
    type: raw
    default: []
  snapshot:
    description: A file that M(meshops.locality.topology_info) saved, instead of a cluster.
    type: path
  live:
    description: "Whether to read a cluster. Default: true without O(snapshot), false with it."
    type: bool
  file:
    description: Write the answers to this file, as JSON. With one question it holds that answer only.
    type: path
  reports:
    description:
      - Write the findings of V(lint) to files, by format (V(json), V(junit), V(sarif)), and the page of V(assessment)
        (V(html)).
    type: dict
    default: {}
  fail_on:
    description: Fail, after everything is printed and written, when V(lint) has findings of this severity or above.
    type: str
    choices: [error, warning, info, never]
    default: error
  width:
    description: "How many characters a line of the text may have. Default: 70 for lint, 120 for the matrix."
    type: int
  show:
    description: Whether to print the answers.
    type: bool
    default: true
  variables:
    description:
      - Which variables a person sets for the options, by option, so that errors name what was set. C(prefix) is that of
        all others.
    type: dict
    default: {}
  return_answers:
    description: Whether to return RV(answers). For a large mesh O(file) is faster.
    type: bool
    default: true
attributes:
  action:
    description: Has an action plugin on the controller.
    support: full
  check_mode:
    description: Can run in C(check_mode) and return what would change, without changing anything.
    support: full
    details: No file is written.
  diff_mode:
    description: Returns what changed (or would change) as a diff.
    support: none
  idempotent:
    description: When run twice in a row without other changes, the second run changes nothing.
    support: full
seealso:
  - module: meshops.locality.topology_info
"""

EXAMPLES = r"""
- name: Which Services lose requests when a zone is lost
  meshops.locality.mesh_query:
    all_namespaces: true
    questions:
      matrix:
        levels: [zone]
  register: mesh

- name: Lint manifests, without a cluster
  meshops.locality.mesh_query:
    live: false
    manifests: rendered.yaml
    questions:
      lint: {}
    reports:
      sarif: lint.sarif
"""

RETURN = r"""
answers:
  description: The answer to each question, as its filter returns it.
  type: dict
  returned: O(return_answers=true)
summary:
  description: A few numbers of each answer, for workflows.
  type: dict
  returned: success
mesh:
  description: What was read.
  type: dict
  returned: success
  contains:
    summary:
      description: Numbers of clients, Services, endpoints and rules.
      type: dict
    problems:
      description: What could not be read and is missing in the answers, as in M(meshops.locality.topology_info).
      type: list
      elements: dict
    assumptions:
      description: What was assumed where the input was silent; as in M(meshops.locality.topology_info).
      type: list
      elements: dict
text:
  description: What was printed.
  type: str
  returned: success
"""
