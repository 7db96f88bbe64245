# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From intent to Istio's objects.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import Intent, Json, Path, settings

#: On a VirtualService of ours: the DestinationRule it belongs to. This is how it is found again when it has to go.
OWNER_ANNOTATION = "meshops.locality/destination-rule"

#: On a DestinationRule or VirtualService that a policy has made: the policy's name. One that was there before has none,
#: and is never deleted.
MADE_ANNOTATION = "meshops.locality/failover-policy"

#: What Istio retries when nobody says anything. A VirtualService with `retries` but without attempts has none.
#: Source: istio 1.31 pilot/pkg/networking/core/route/retry/retry.go, DefaultPolicy and ConvertPolicy.
DEFAULT_ATTEMPTS = 2


def traffic_policy(intent: Intent) -> Json:
    """Return the trafficPolicy: the typed options merged with the raw `traffic_policy`.

    Raises InvalidInput when both set the same field.
    """
    policy: Json = plain(intent.traffic_policy)
    for option, path, value in settings(intent):
        _put(policy, option, path, value)
    return policy


def _put(policy: Json, option: str, path: Path, value: t.Any) -> None:
    where = policy
    for depth, key in enumerate(path[:-1]):
        below = where.setdefault(key, {})
        if not isinstance(below, dict):
            raise InvalidInput(
                f"traffic_policy.{'.'.join(path[: depth + 1])} must be a dictionary, because {option} goes below it."
            )
        where = below
    if path[-1] in where:
        raise InvalidInput(
            f"traffic_policy.{'.'.join(path)} is also given as {option}.",
            do="Keep one of the two.",
        )
    where[path[-1]] = value


def destination_rule(intent: Intent) -> Json:
    """Return the DestinationRule of an intent, ready to be applied."""
    spec: Json = {"host": intent.host}
    if policy := traffic_policy(intent):
        spec["trafficPolicy"] = policy
    if intent.subsets:
        spec["subsets"] = plain(intent.subsets)
    if intent.export_to:
        spec["exportTo"] = list(intent.export_to)
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": intent.name, "namespace": intent.namespace},
        "spec": spec,
    }


def virtual_service(intent: Intent) -> Json | None:
    """Return the VirtualService that carries the retries of an intent, or None when none were asked for."""
    if not intent.wants_virtual_service:
        return None
    retries: Json = {"attempts": intent.retries.get("attempts", DEFAULT_ATTEMPTS)}
    if "per_try_timeout" in intent.retries:
        retries["perTryTimeout"] = intent.retries["per_try_timeout"]
    if "retry_on" in intent.retries:
        retries["retryOn"] = intent.retries["retry_on"]
    if intent.retry_remote_localities is not None:
        retries["retryRemoteLocalities"] = intent.retry_remote_localities
    spec: Json = {
        "hosts": [intent.host],
        "http": [{"route": [{"destination": {"host": intent.host}}], "retries": retries}],
    }
    if intent.export_to:
        spec["exportTo"] = list(intent.export_to)
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {
            "name": intent.virtual_service_name,
            "namespace": intent.namespace,
            "annotations": {OWNER_ANNOTATION: intent.name},
        },
        "spec": spec,
    }
