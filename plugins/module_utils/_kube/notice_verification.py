# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether istiod's notice of relabelled nodes took effect: do clients' Envoys hold the new localities?

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import time
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube.access_review import may
from ansible_collections.meshops.locality.plugins.module_utils._kube.istiod_notification import INJECTED
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import POD
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import (
    PodIndex,
    Proxy,
    namespaces_of,
    read_endpoints,
    read_proxies,
)

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]

POLL_SECONDS = 1.0
#: When nobody names clients, so many are asked, in so many namespaces at most, and for so many seconds.
CLIENTS, NAMESPACES, SECONDS = 3, 5, 30.0


def named_clients(cluster: Cluster, given: Params) -> list[Proxy]:
    """Return the clients of the option verify_notice (`namespace`, and `pod` or `label_selector`).

    Raises InvalidInput or NotFound for clients that are none, NotReady when none of them can be asked.
    """
    if bool(given["pod"]) == bool(given["label_selector"]):
        raise InvalidInput("verify_notice needs exactly one of pod and label_selector.")
    proxies = read_proxies(
        cluster, given["namespace"], [given["pod"]] if given["pod"] else None, given["label_selector"]
    )
    clients = [proxy for proxy in proxies if proxy.kind and proxy.ready and not proxy.problem]
    if not clients:
        raise NotReady(
            f"verify_notice: pod {proxies[0].where} cannot be asked. {proxies[0].problem or 'It is not ready.'}",
            do="Name a client with a ready sidecar.",
        )
    return clients


def find_clients(cluster: Cluster, namespaces: t.Iterable[str]) -> tuple[list[Proxy], str]:
    """Return a few clients of these namespaces that can and may be asked; without any, why there is none.

    Nothing is tried that is not allowed. Raises what the API server answers to a list of pods.
    """
    asked = sorted(namespaces)[:NAMESPACES]
    clients: list[Proxy] = []
    refused = []
    for namespace in asked:
        ready = [Proxy.of(pod) for pod in cluster.list(POD, namespace, labels=INJECTED)]
        ready = [proxy for proxy in ready if proxy.kind and proxy.ready and not proxy.problem]
        if not ready:
            continue
        # Over a websocket a command is a GET; Kubernetes 1.35 and later ask for `create` all the same.
        if all(may(cluster, verb, POD, namespace=namespace, subresource="exec") for verb in ("get", "create")):
            clients += ready[: CLIENTS - len(clients)]
        else:
            refused.append(namespace)
        if len(clients) == CLIENTS:
            break
    if clients:
        return clients, ""
    if refused:
        return [], f"commands in pods (pods/exec) are not allowed in namespace {', '.join(refused)}"
    return [], f"namespace {', '.join(asked)} has no ready sidecar"


def wait_for_localities(cluster: Cluster, nodes: t.Collection[str], clients: t.Sequence[Proxy], seconds: float) -> int:
    """Wait until the clients' Envoys hold the endpoints on these nodes where istiod places them; return how many.

    Only endpoints that are pods can be compared; 0 means that nothing was. Raises NotReady when a client holds another
    locality to the end, naming the endpoint.
    """
    until = time.monotonic() + seconds
    while True:
        endpoints = [(client, endpoint) for client in clients for endpoint in read_endpoints(cluster, client)]
        index = PodIndex(cluster, namespaces_of(endpoint for _client, endpoint in endpoints))
        wrong, compared = [], 0
        for client, endpoint in endpoints:
            pod = index.behind(endpoint.ip) if endpoint.name.direction == "outbound" else None
            if pod is None or pod.node not in nodes:
                continue
            compared += 1
            wanted = index.locality(pod)
            if endpoint.locality != wanted:
                wrong.append(
                    f"{client.where} holds {endpoint.address} of {endpoint.name.host} (node {pod.node}) in"
                    f" {endpoint.locality}, not in {wanted}"
                )
        if not wrong:
            return compared
        if time.monotonic() >= until:
            raise NotReady(
                f"istiod was notified, but after {seconds:.0f} s {wrong[0]}"
                + (f", and {len(wrong) - 1} more." if len(wrong) > 1 else "."),
                do="See istiod's log, and whether the client is connected (istioctl proxy-status); then run again.",
                old_localities=wrong,
            )
        time.sleep(POLL_SECONDS)
