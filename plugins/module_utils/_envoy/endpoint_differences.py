# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the endpoints of clients' Envoys differ in from those that somebody expects.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput


def endpoint_differences(
    clients: t.Sequence[t.Mapping[str, t.Any]],
    priorities: t.Mapping[str, t.Any] | None = None,
    healthy: t.Sequence[str] = (),
) -> list[str]:
    """Return in what the clients (as endpoints_info returns them) differ from the expectation, one sentence each.

    `priorities` is {locality: priority} for all localities, or None for any; all endpoints of the localities in
    `healthy` must be healthy. Raises InvalidInput when something else was given.
    """
    try:
        wanted = None if priorities is None else {str(name): int(value) for name, value in priorities.items()}
        return [sentence for client in clients for sentence in _client(client, wanted, [str(name) for name in healthy])]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(
            f"Cannot compare: {type(error).__name__} {error}.",
            do="Give the clients that endpoints_info returned, {locality: number} and a list of localities.",
        ) from error


def _client(
    client: t.Mapping[str, t.Any], wanted: t.Mapping[str, int] | None, healthy: t.Sequence[str]
) -> t.Iterator[str]:
    who = f"{client['namespace']}/{client['pod']}"
    if client["problem"]:
        yield f"{who}: {client['problem']}"
    endpoints = client["endpoints"]
    if not endpoints:
        if not client["problem"]:
            yield f"{who} holds no endpoint."
        return
    by_locality: dict[str, set[int]] = {}
    for endpoint in endpoints:
        by_locality.setdefault(str(endpoint["locality"]), set()).add(int(endpoint["priority"]))
    if wanted is not None:
        for locality in sorted({*wanted, *by_locality}):
            have = ", ".join(str(priority) for priority in sorted(by_locality.get(locality, ())))
            if locality not in by_locality:
                yield f"{who} holds no endpoint in {locality}; priority {wanted[locality]} was expected."
            elif locality not in wanted:
                yield f"{who} holds endpoints in {locality or 'no locality'} (priority {have}); none were expected."
            elif by_locality[locality] != {wanted[locality]}:
                yield f"{who} holds priority {have} for {locality}; {wanted[locality]} was expected."
    for locality in healthy:
        group = [endpoint for endpoint in endpoints if str(endpoint["locality"]) == locality]
        if not group:
            yield f"{who} holds no endpoint in {locality}, which should be healthy."
        for endpoint in group:
            if endpoint["health"] != "healthy":
                reasons = ", ".join(endpoint["health_reasons"])
                yield f"{who} holds {endpoint['address']} in {locality} as {endpoint['health']} ({reasons})."
