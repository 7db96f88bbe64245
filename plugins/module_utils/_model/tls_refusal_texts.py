# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why pods refuse the TLS that a client sends: the words that findings, errors and what is not judged begin with.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

#: `setting` is the field that decides what clients send.
CANNOT_END_MUTUAL_TLS = "{setting} sends mutual TLS, which the pods cannot end"
NEED_MUTUAL_TLS = "{setting} sends no mutual TLS, and a PeerAuthentication asks for it (STRICT)"
