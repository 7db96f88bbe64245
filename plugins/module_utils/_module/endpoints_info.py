# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The body of endpoints_info: what the Envoys of many clients hold, joined with pods and nodes.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t
from collections import Counter
from dataclasses import dataclass
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

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Params = t.Mapping[str, t.Any]


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


def endpoints_info(cluster: Cluster, params: Params, module: AnsibleModule) -> dict[str, t.Any]:
    """Return {clients, revisions, problems}; a client that cannot be asked has no endpoints, but a `problem`."""
    if not params["pods"] and not params["label_selector"]:
        raise InvalidInput("Neither pods nor label_selector is given.", do="Name the clients with one of them.")
    proxies = read_proxies(cluster, params["namespace"], params["pods"], params["label_selector"])
    question = ClusterQuery(params["service_host"] or "", params["port"], params["subset"])
    answers = cluster.map(lambda proxy: _endpoints_or_problem(cluster, proxy, question), proxies)
    pods = PodIndex(cluster, {params["namespace"]} | namespaces_of(e for endpoints, _why in answers for e in endpoints))
    settings: list[dict[str, t.Any]] = [{} for _proxy in proxies]
    if params["include_settings"]:
        settings = cluster.map(
            lambda pair: _settings(cluster, *pair),
            list(zip(proxies, [endpoints for endpoints, _why in answers], strict=True)),
        )
    clients = [
        _client(proxy, endpoints, why, pods, extra)
        for proxy, (endpoints, why), extra in zip(proxies, answers, settings, strict=True)
    ]
    return {
        "changed": False,
        "clients": clients,
        "revisions": dict(Counter(proxy.revision or "(unknown)" for proxy in proxies if proxy.kind)),
        "problems": _problems(clients, proxies, pods),
    }


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


def _client(
    proxy: Proxy, endpoints: t.Sequence[EnvoyEndpoint], why: str, pods: PodIndex, settings: Params
) -> dict[str, t.Any]:
    joined = [join(endpoint, pods) for endpoint in endpoints]
    stale = sorted({endpoint["address"] for endpoint in joined if endpoint["stale"]})
    return {
        "pod": proxy.pod,
        "namespace": proxy.namespace,
        "node": proxy.node,
        "address": proxy.address,
        "locality": str(pods.client_locality(proxy)),
        "revision": proxy.revision,
        "sidecar": proxy.kind,
        "ready": proxy.ready,
        "problem": why,
        "endpoints": sorted(joined, key=lambda e: (e["cluster"], e["priority"], e["locality"], e["address"])),
        "stale": stale,
        "clusters": dict(settings),
    }


def join(endpoint: EnvoyEndpoint, pods: PodIndex) -> dict[str, t.Any]:
    """Return an endpoint as plain values with `pod`, `node`, and `stale`: it has moved and Envoy does not know it."""
    pod = pods.behind(endpoint.ip)
    now = pods.locality(pod) if pod else None
    readable = pod is not None and pod.node in pods.nodes
    return {
        **endpoint.as_dict(),
        "pod": pod.pod if pod else "",
        "pod_namespace": pod.namespace if pod else "",
        "node": pod.node if pod else "",
        "locality_now": str(now) if readable else "",
        "stale": readable and now != endpoint.locality,
    }


def _problems(clients: t.Sequence[Params], proxies: t.Sequence[Proxy], pods: PodIndex) -> list[str]:
    problems = [
        f"{client['namespace']}/{client['pod']}: {client['problem']}" for client in clients if client["problem"]
    ]
    revisions = Counter(proxy.revision or "(unknown)" for proxy in proxies if proxy.kind)
    if len(revisions) > 1:
        listed = ", ".join(f"{name} ({count} pods)" for name, count in sorted(revisions.items()))
        problems.append(
            f"The clients run sidecars of several revisions, which may compute different priorities: {listed}."
        )
    stale = {
        (endpoint["host"], endpoint["pod"], endpoint["locality"], endpoint["locality_now"])
        for client in clients
        for endpoint in client["endpoints"]
        if endpoint["stale"]
    }
    problems += [
        f"Envoy still has {old or 'no locality'} for pod {pod} of {host}, its node says {new or 'none'}: istiod"
        f" notices a"
        " relabelled node when the Service changes (meshops.locality.node_topology, option notify_istiod)."
        for host, pod, old, new in sorted(stale)
    ]
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
