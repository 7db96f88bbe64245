# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes with another version of Istio, as text: first what and why, then for which Services and clients.

Pure: takes what the filter upgrade_difference returns. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._report.table import columns

Part = t.Mapping[str, t.Any]

HEADING = ("service", "before", "after", "clients", "where")
#: How many places of clients one line names, and how many lines one change has.
PLACES, LINES = 2, 40


def upgrade_table(difference: Part) -> str:
    """Return one table for each kind of change."""
    title = f"Istio {difference['from_version']} → {difference['to_version']}"
    changes = difference["changes"]
    lines = [f"{title}: nothing changes for any of {difference['clients']} clients."]
    if changes:
        touched = {pod for one in changes for pod in one["pods"]}
        services = {one["service"] for one in changes}
        counted = f"{len(services)} {'Service' if len(services) == 1 else 'Services'}"
        lines = [f"{title}: {counted} and {len(touched)} of {difference['clients']} clients are concerned."]
    kinds: dict[tuple[str, str], list[Part]] = {}
    for one in changes:
        kinds.setdefault((one["what"], one["why"]), []).append(one)
    for (what, reason), some in kinds.items():
        rows = [
            (one["name"], one["before"] or "-", one["after"] or "-", str(one["clients"]), _where(one)) for one in some
        ]
        lines += ["", f"{what}: {reason}", *columns([HEADING, *rows[:LINES]])]
        if len(rows) > LINES:
            lines.append(f"… and {len(rows) - LINES} more")
    lines += [f"Not checked: {sentence}" for sentence in difference["unchecked"]]
    return "\n".join(lines)


def _where(change: Part) -> str:
    places = [f"{one['namespace']} at {one['locality'] or 'no locality'}" for one in change["where"]]
    more = f" and {len(places) - PLACES} more places" if len(places) > PLACES else ""
    return ", ".join(places[:PLACES]) + more
