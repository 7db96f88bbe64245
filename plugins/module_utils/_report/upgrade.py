# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What changes with another version of Istio, as text: first what and why, then for which Services and clients.

Pure: takes what the filter upgrade_difference returns. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names

Part = t.Mapping[str, t.Any]

#: How many places of clients and how many Services one line names, and how many lines one change has.
PLACES, NAMED, LINES = 2, 6, 40
#: Up to this many characters before and after stand in one line.
SHORT = 40


def upgrade_table(difference: Part) -> str:
    """Return one block for each kind of change, and in it one entry for all Services and clients alike."""
    title = f"Istio {difference['from_version']} → {difference['to_version']}"
    changes = difference["changes"]
    lines = [f"{title}: nothing changes for any of {difference['clients']} clients."]
    if changes:
        touched = {pod for change in changes for pod in change["pods"]}
        services = {change["service"] for change in changes}
        counted = f"{len(services)} {'Service' if len(services) == 1 else 'Services'}"
        lines = [f"{title}: {counted} and {len(touched)} of {difference['clients']} clients are concerned."]
    kinds: dict[tuple[str, str], list[Part]] = {}
    for change in changes:
        kinds.setdefault((change["what"], change["why"]), []).append(change)
    for (what, reason), some in kinds.items():
        alike: dict[tuple[str, str, str, str], list[str]] = {}
        for change in some:
            key = (change["before"] or "-", change["after"] or "-", str(change["clients"]), _where(change))
            alike.setdefault(key, []).append(change["name"])
        lines += ["", f"{what}: {reason}"]
        for key, names in list(alike.items())[:LINES]:
            lines += _entry(*key, names)
        if len(alike) > LINES:
            lines.append(f"… and {len(alike) - LINES} more")
    lines += [f"Not checked: {sentence['text']}" for sentence in difference["unchecked"]]
    return "\n".join(lines)


def _entry(before: str, after: str, clients: str, where: str, names: t.Sequence[str]) -> list[str]:
    who = f"{clients} {'client' if clients == '1' else 'clients'} ({where})"
    if len(before) + len(after) <= SHORT:
        return [f"  {before} → {after} for {who}: {_services(names)}"]
    return [f"  {_services(names)}, for {who}", f"    before  {before}", f"    after   {after}"]


def _where(change: Part) -> str:
    places = [f"{client['namespace']} at {client['locality'] or 'no locality'}" for client in change["where"]]
    return first_names(places, PLACES, "more places")


def _services(names: t.Sequence[str]) -> str:
    return first_names(names, NAMED)
