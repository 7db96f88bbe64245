# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight: what can be known to be wrong before anything is touched.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill import gate
from ansible_collections.meshops.locality.plugins.module_utils._drill.failover_mechanism import TrafficReading
from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import INTERRUPTED, Ended
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_journal, lease
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_preflight import (
    DrillClient,
    answers,
    credential_seconds,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_targets import ServicePods
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_user_traffic import rate_of
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.drill_run import DrillRun
from ansible_collections.meshops.locality.plugins.module_utils._module.drill_phases.injection import new_record

#: So long is looked how much users ask.
USERS_SECONDS = 4


def check_options(drill: DrillRun) -> None:
    """Raise InvalidInput for options that make no sense, and for a credential that would not last."""
    params = drill.params
    for name, least, most in (
        ("duration", 1, 3600),
        ("lead", 1, 600),
        ("dead_mans_switch", 5, 3600),
        ("restore_timeout", 10, 3600),
        ("failback_timeout", 0, 3600),
        ("max_pods", 1, 1000),
        ("max_places", 1, 1000),
        ("spare_pods", 0, 1000),
    ):
        if not least <= params[name] <= most:
            raise InvalidInput(f"{name} is {params[name]}; it must be {least} to {most}.")
    if not 0 < params["rate"] <= 100:
        raise InvalidInput(f"rate is {params['rate']} per second; it must be more than 0 and at most 100.")
    if not 0 < params["timeout"] <= 60:
        raise InvalidInput(f"timeout is {params['timeout']} seconds; it must be more than 0 and at most 60.")
    for name in ("error_budget", "bystander_error_budget"):
        if not 0 <= params[name] <= 1:
            raise InvalidInput(f"{name} is {params[name]}; it is a share, from 0 to 1.")
    unknown = set(params["accept"]) - set(gate.ACCEPTABLE)
    if unknown:
        raise InvalidInput(
            f"accept: {sorted(unknown)[0]!r} cannot be accepted.", do=f"Only {', '.join(gate.ACCEPTABLE)} can."
        )
    try:
        drill.pattern = re.compile(params["answer_pattern"]) if params["answer_pattern"] else None
    except re.error as error:
        raise InvalidInput(f"answer_pattern is not a regular expression: {error}.") from error
    if drill.pattern is not None and not drill.pattern.groups:
        raise InvalidInput("answer_pattern has no group.", do="Put the pod's name into parentheses.")
    left, needed = (
        credential_seconds(drill.cluster, params["kubeconfig"]),
        drill.seconds_to_undoing() + params["restore_timeout"],
    )
    if left is not None and left < needed:
        raise InvalidInput(
            f"The bearer token is valid for {left:.0f} s more; the drill and its undoing may take {needed:.0f} s.",
            do="Use one that is valid longer, or a kubeconfig that renews it.",
        )


def read_users_load(drill: DrillRun) -> None:
    """See how many requests the clients send by themselves. Raises InvalidInput when there are none."""

    def look(client: DrillClient) -> tuple[float, bool]:
        return rate_of(drill.cluster, client.proxy, drill.watched, USERS_SECONDS)

    logs = drill.cluster.map(look, drill.clients)
    drill.user_rate = sum(rate for rate, _log in logs) / len(logs)
    drill.logging = {client.proxy.where for client, (_rate, log) in zip(drill.clients, logs, strict=True) if log}
    if not drill.user_rate:
        raise InvalidInput(
            f"Within {USERS_SECONDS} s none of the clients has asked {drill.watched.host}:{drill.watched.port}: there"
            " are no requests of users to watch.",
            do="Name clients that ask, or use load: probe.",
        )
    drill.add_event("phase", f"users send {drill.user_rate * len(logs):.1f} requests a second")


def client_answers(drill: DrillRun, client: DrillClient) -> str:
    """Return why a client gets no answers, '' when it does."""
    return answers(drill.cluster, client, drill.url, drill.params["timeout"])


def check_permissions(drill: DrillRun) -> None:
    """Ask the API server whether lock and journal may be written, without writing them."""
    lease.acquire(drill.cluster, drill.params["lock_namespace"], drill.holder, dry_run=True)
    drill_journal.create(drill.cluster, new_record(drill), drill.holder, dry_run=True)


def unhealthy_endpoints(drill: DrillRun, readings: t.Sequence[TrafficReading]) -> list[str]:
    """Say which endpoints no client's Envoy holds as healthy, or does not hold at all."""
    ready = {
        candidate.address: candidate
        for candidate in t.cast(ServicePods, drill.service_pods).candidates
        if candidate.ready
    }
    sentences = []
    for reading in readings:
        by_address = {endpoint.ip: endpoint for endpoint in reading.endpoints}
        bad = [ready[ip].where for ip in ready if ip in by_address and by_address[ip].health != "healthy"]
        if not by_address:
            sentences.append(f"The Envoy of {reading.client} holds no endpoint of {drill.params['service']}.")
        elif bad:
            sentences.append(f"The Envoy of {reading.client} does not hold {', '.join(bad[:3])} as healthy.")
    return sentences


def check_interruption(drill: DrillRun) -> None:
    """Raise Ended when a signal came before anything was touched."""
    if reason := drill.interruption.look():
        raise Ended(INTERRUPTED, reason, "signal")
