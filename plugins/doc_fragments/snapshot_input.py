# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The input and the version of all filters that compute something from a snapshot."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  _input:
    description:
      - The snapshot that M(meshops.locality.topology_info) returned, its whole result, or the text of the file it
        saved. For a large mesh the text is by far the fastest.
    type: raw
    required: true
"""
    VERSION = r"""
options:
  istio_version:
    description:
      - Version of Istio whose decisions are wanted, for example V(1.30). Put it into quotes, because YAML turns a
        bare V(1.30) into V(1.3).
      - The default is the version in the snapshot.
    type: str
"""
