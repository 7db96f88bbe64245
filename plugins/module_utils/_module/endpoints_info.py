# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of endpoints_info: what the Envoys of many clients hold, joined with pods and nodes.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import typing as t
from collections import Counter
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import (
    EnvoyEndpoint,
    host_matches,
    parse_locality_weights,
    parse_settings,
)
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Forbidden,
    InvalidInput,
    LocalityError,
    Unauthorized,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import (
    PodIndex,
    Proxy,
    admin,
    namespaces_of,
    no_cluster,
    read_endpoints,
    read_proxies,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.saved_file import replaced, target_of

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]

#: So many whole views are in memory at the same time; each may have some ten megabytes.
AT_A_TIME = 3
_WRITING = threading.Lock()


@dataclass(frozen=True)
class ClusterQuery:
    """Which clusters of an Envoy are asked for."""

    host: str = ""
    port: int | None = None
    subset: str | None = None

    def pattern(self) -> str:
        """Return the RE2 for Envoy's own filter: never narrower than `wants`."""
        if not self.host:
            return ""
        return rf"\|{re.escape(self.host.partition('.')[0])}(\.|$)"

    def wants(self, endpoint: EnvoyEndpoint, namespace: str) -> bool:
        """Return whether a client in `namespace` asks for the endpoint; without a host, for all outbound ones."""
        name = endpoint.name
        if name.direction != "outbound" or (self.port and name.port != self.port):
            return False
        if self.subset is not None and name.subset != self.subset:
            return False
        return not self.host or host_matches(self.host, name.host, namespace)


def ask(cluster: Cluster, proxy: Proxy, question: ClusterQuery) -> list[EnvoyEndpoint]:
    """Return the endpoints a proxy holds for the question.

    Raises InvalidInput, with names that come near, when a host was asked for and the proxy has none for it.
    """
    endpoints = [e for e in read_endpoints(cluster, proxy, question.pattern()) if question.wants(e, proxy.namespace)]
    if not endpoints and question.host:
        everything = read_endpoints(cluster, proxy)
        raise no_cluster(question.host, question.port, question.subset, everything)
    return endpoints


class ClientView(t.NamedTuple):
    """What a client is in the result, and the sentences about endpoints whose locality has changed since."""

    client: dict[str, t.Any]
    moved: frozenset[str]


def endpoints_info(cluster: Cluster, params: Params, module: AnsibleModule) -> dict[str, t.Any]:
    """Return {changed, clients, revisions, problems}; a client that cannot be asked has no endpoints, but a `problem`.

    Of more than `max_endpoints` those come first that are not healthy or have moved; `path` gets all, a client a line.
    """
    if not params["pods"] and not params["label_selector"]:
        raise InvalidInput("Neither pods nor label_selector is given.", do="Name the clients with one of them.")
    if params["max_endpoints"] < 0:
        raise InvalidInput(f"max_endpoints is {params['max_endpoints']}, less than 0.", do="Give 0 or more.")
    target = target_of(params["path"]) if params["path"] else None
    proxies = read_proxies(cluster, params["namespace"], params["pods"], params["label_selector"])
    pods = PodIndex(cluster, {params["namespace"]})
    with replaced(target) if target and not module.check_mode else contextlib.nullcontext() as file:
        view = partial(_view, cluster, params, pods, params["max_endpoints"] // max(1, len(proxies)), file)
        views = cluster.map(view, proxies, AT_A_TIME)
    clients = [view.client for view in views]
    result: dict[str, t.Any] = {
        "changed": target is not None,
        "clients": clients,
        "revisions": dict(Counter(proxy.revision or "(unknown)" for proxy in proxies if proxy.kind)),
        "problems": _problems(views, proxies, pods, complete=target is not None),
    }
    return {**result, "path": params["path"]} if target else result


def _view(
    cluster: Cluster, params: Params, pods: PodIndex, room: int, file: t.TextIO | None, proxy: Proxy
) -> ClientView:
    """Ask one client; all of its endpoints are in memory only until this returns."""
    question = ClusterQuery(params["service_host"] or "", params["port"], params["subset"])
    endpoints, why = _endpoints_or_problem(cluster, proxy, question)
    pods.cover(namespaces_of(endpoints))
    endpoints.sort(key=lambda e: (e.cluster, e.priority, str(e.locality), e.address))
    moved = [endpoint for endpoint in endpoints if is_stale(endpoint, pods)]
    client = {
        "pod": proxy.pod,
        "namespace": proxy.namespace,
        "node": proxy.node,
        "address": proxy.address,
        "locality": str(pods.client_locality(proxy)),
        "revision": proxy.revision,
        "sidecar": proxy.kind,
        "ready": proxy.ready,
        "problem": why,
        "endpoints_left_out": max(0, len(endpoints) - room),
        "stale": sorted({endpoint.address for endpoint in moved}),
        "clusters": _settings(cluster, proxy, endpoints) if params["include_settings"] else {},
    }
    if file is not None:
        whole = {**client, "endpoints_left_out": 0, "endpoints": [join(endpoint, pods) for endpoint in endpoints]}
        line = json.dumps(whole, sort_keys=True) + "\n"
        with _WRITING:  # a text file may not be written by several threads at once
            file.write(line)
    if len(endpoints) > room:
        odd = {id(endpoint) for endpoint in moved}
        # A stable sort: within both kinds the order stays.
        endpoints = sorted(endpoints, key=lambda e: e.health == "healthy" and id(e) not in odd)[:room]
    client["endpoints"] = [join(endpoint, pods) for endpoint in endpoints]
    return ClientView(client, frozenset(_about_moved(endpoint, pods) for endpoint in moved))


def _endpoints_or_problem(cluster: Cluster, proxy: Proxy, question: ClusterQuery) -> tuple[list[EnvoyEndpoint], str]:
    if proxy.problem:
        return [], proxy.problem
    try:
        return ask(cluster, proxy, question), "" if proxy.ready else "Its istio-proxy container is not ready."
    except (Forbidden, Unauthorized):
        raise
    except LocalityError as error:
        return [], str(error)


def _settings(cluster: Cluster, proxy: Proxy, endpoints: t.Sequence[EnvoyEndpoint]) -> dict[str, t.Any]:
    names = sorted({endpoint.cluster for endpoint in endpoints})
    if not names:
        return {}
    # name_regex matches the whole name, and for EDS the name of the cluster too.
    regex = quote("|".join(re.escape(name) for name in names), safe="")
    try:
        clusters = parse_settings(
            admin(cluster, proxy, f"config_dump?resource=dynamic_active_clusters&name_regex={regex}")
        )
        weights = parse_locality_weights(
            admin(cluster, proxy, f"config_dump?include_eds&resource=dynamic_endpoint_configs&name_regex={regex}")
        )
    except (Forbidden, Unauthorized):
        raise
    except LocalityError as error:
        return {name: {"problem": str(error)} for name in names}
    return {
        name: {
            **clusters.get(name, {}),
            "locality_weights": [
                {"locality": locality, "priority": priority, "weight": weight}
                for (locality, priority), weight in sorted(
                    weights.get(name, {}).items(), key=lambda item: item[0][::-1]
                )
            ],
        }
        for name in names
    }


def is_stale(endpoint: EnvoyEndpoint, pods: PodIndex) -> bool:
    """Whether labels place the endpoint's pod elsewhere now than its Envoy has it; False where nobody knows."""
    pod = pods.behind(endpoint.ip)
    return pod is not None and pod.node in pods.nodes and pods.locality(pod) != endpoint.locality


def join(endpoint: EnvoyEndpoint, pods: PodIndex) -> dict[str, t.Any]:
    """Return an endpoint as plain values with `pod`, `node`, and `stale`: it has moved and Envoy does not know it."""
    pod = pods.behind(endpoint.ip)
    readable = pod is not None and pod.node in pods.nodes
    return {
        **endpoint.as_dict(),
        "pod": pod.pod if pod else "",
        "pod_namespace": pod.namespace if pod else "",
        "node": pod.node if pod else "",
        "locality_now": str(pods.locality(pod)) if pod and readable else "",
        "stale": is_stale(endpoint, pods),
    }


def _about_moved(endpoint: EnvoyEndpoint, pods: PodIndex) -> str:
    pod = t.cast(Proxy, pods.behind(endpoint.ip))
    return (
        f"Envoy still has {endpoint.locality or 'no locality'} for pod {pod.pod} of {endpoint.name.host}, its node says"
        f" {pods.locality(pod) or 'none'}: istiod notices a relabelled node when the Service changes"
        " (meshops.locality.node_topology, option notify_istiod)."
    )


def _problems(
    views: t.Sequence[ClientView], proxies: t.Sequence[Proxy], pods: PodIndex, *, complete: bool
) -> list[str]:
    clients = [view.client for view in views]
    problems = [
        f"{client['namespace']}/{client['pod']}: {client['problem']}" for client in clients if client["problem"]
    ]
    left_out = sum(client["endpoints_left_out"] for client in clients)
    if left_out and not complete:
        problems.append(
            f"{left_out} endpoints of {sum(1 for client in clients if client['endpoints_left_out'])} clients are not in"
            " this result, because of max_endpoints: name one service_host, or give path, a file for all of them."
        )
    revisions = Counter(proxy.revision or "(unknown)" for proxy in proxies if proxy.kind)
    if len(revisions) > 1:
        listed = ", ".join(f"{name} ({count} pods)" for name, count in sorted(revisions.items()))
        problems.append(
            f"The clients run sidecars of several revisions, which may compute different priorities: {listed}."
        )
    problems += sorted(frozenset[str]().union(*(view.moved for view in views)))
    problems += [
        f"Pods of namespace {namespace} may not be listed, so endpoints there carry no pod: grant the verb list on"
        f" pods."
        for namespace in pods.unreadable
    ]
    if pods.note:
        problems.append(pods.note)
    if not pods.nodes:
        problems.append("Nodes may not be listed, so no locality was checked: grant the verb list on nodes.")
    return problems
