# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clients' Envoys hold, as text a person reads at a glance.

Pure: takes the result of the module endpoints_info, returns text.
Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._report.table import columns

HEADING = ("priority", "locality", "endpoint", "pod", "weight", "health", "requests", "failed")


def endpoints_table(clients: t.Sequence[t.Mapping[str, t.Any]]) -> str:
    """Return one table per client: its endpoints ordered by cluster, priority, locality and address.

    `clients` is what endpoints_info returns under that name. Raises InvalidInput when it is something else.
    """
    blocks = []
    for index, client in enumerate(clients):
        if not isinstance(client, t.Mapping) or "pod" not in client:
            raise InvalidInput(f"Client {index} has no pod.", do="Give the clients that endpoints_info returned.")
        blocks.append("\n".join(_client(client)))
    return "\n\n".join(blocks)


def _client(client: t.Mapping[str, t.Any]) -> list[str]:
    title = f"{client['pod']} in {client.get('locality') or 'no locality'}"
    if client.get("problem"):
        return [f"{title}: {client['problem']}"]
    endpoints = sorted(
        client.get("endpoints") or [],
        key=lambda endpoint: (
            str(endpoint["cluster"]),
            int(endpoint["priority"]),
            str(endpoint["locality"]),
            str(endpoint["address"]),
        ),
    )
    if not endpoints:
        return [f"{title}: no endpoints"]
    lines = [title]
    for cluster in dict.fromkeys(str(endpoint["cluster"]) for endpoint in endpoints):
        rows = [_row(endpoint) for endpoint in endpoints if endpoint["cluster"] == cluster]
        lines += [cluster, *columns([HEADING, *rows])]
    return lines


def _row(endpoint: t.Mapping[str, t.Any]) -> tuple[str, ...]:
    counters = endpoint.get("counters") or {}
    reasons = ", ".join(endpoint.get("health_reasons") or [])
    return (
        str(endpoint["priority"]),
        str(endpoint.get("locality") or "-"),
        str(endpoint["address"]),
        str(endpoint.get("pod") or "-"),
        str(endpoint.get("weight", "-")),
        f"{endpoint['health']} ({reasons})" if reasons else str(endpoint["health"]),
        str(counters.get("rq_total", "-")),
        str(counters.get("rq_error", "-")),
    )
