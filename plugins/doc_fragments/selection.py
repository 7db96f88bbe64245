# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Services and clients a prediction is about."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  service:
    description:
      - Only these Services, a name or a list of names. Each is a host, C(name.namespace), C(name), or a glob of these.
      - "Default: all."
    type: raw
  namespace:
    description: Only Services of this namespace.
    type: str
  client:
    description:
      - Only these clients, a text or a list of texts. A text with C(=) is a label selector (V(app=sleep,version!=v1));
        any other is C(namespace/pod), a pod's name, a locality, or a glob of these.
      - "Default: all."
    type: raw
  port:
    description: Only this port of the Services.
    type: int
"""
