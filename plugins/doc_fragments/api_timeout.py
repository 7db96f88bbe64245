# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long requests to an API server are tried again."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  api_timeout:
    description:
      - For how many seconds one request is tried again, with growing pauses, while the API server answers 429 or 5xx,
        cannot be reached or breaks off. A C(Retry-After) of the server applies, but never beyond this.
      - What puts back or takes away what was changed (O(ignore:state) V(absent), V(previous), V(restored) or
        V(unlabelled)) has three times as long for each request.
      - Credentials that are refused (401) are read again and tried three times. Other refusals are not tried again.
    type: float
    default: 60
    version_added: 0.1.0
"""
