# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real mesh: what the oracle has to be given of it, and what a client's Envoy really got, in the oracle's form."""

from __future__ import annotations

import json
import typing as t

import yaml

Json = dict[str, t.Any]

KINDS = (
    *("nodes", "namespaces", "pods", "services", "endpointslices"),
    *("destinationrules", "virtualservices", "serviceentries", "workloadentries", "sidecars", "envoyfilters"),
    *("peerauthentications", "gateways.networking.istio.io"),
)
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def question(kubectl: t.Any, clients: list[Json]) -> Json:
    """Return the whole mesh as a question about these clients."""
    settings = kubectl("-n", "istio-system", "get", "configmap", "istio", "-o", "json")["data"]
    return {
        "objects": [item for kind in KINDS for item in kubectl("get", kind, "--all-namespaces", "-o", "json")["items"]],
        "mesh": yaml.safe_load(settings["mesh"]),
        "networks": yaml.safe_load(settings["meshNetworks"]),
        "clients": clients,
        "settings": {"routes": True},
    }


def istiod(kubectl: t.Any) -> tuple[str, dict[str, str]]:
    """Return istiod's line ("1.31") and the environment that it reads its feature variables from."""
    (pod,) = kubectl("-n", "istio-system", "get", "pods", "-l", "app=istiod", "-o", "json")["items"]
    container = pod["spec"]["containers"][0]
    version = container["image"].rsplit(":", 1)[1]
    variables = {
        variable["name"]: variable.get("value", "") for variable in container["env"] if "valueFrom" not in variable
    }
    return ".".join(version.split(".")[:2]), {name: variables[name] for name in variables if name != "KUBECONFIG"}


def envoy(kubectl: t.Any, namespace: str, pod: str) -> Json:
    """Return {"clusters": {name: cluster}, "retries": {(route, virtual host, name, cluster): retry}, "node": …} of a
    client's Envoy."""
    command = ("pilot-agent", "request", "GET", "config_dump?include_eds")
    dump = json.loads(kubectl("-n", namespace, "exec", pod, "-c", "istio-proxy", "--", *command))
    parts = {part["@type"].rsplit(".", 1)[1]: part for part in dump["configs"]}
    assignments: dict[str, Json] = {}
    for kind in ("static_endpoint_configs", "dynamic_endpoint_configs"):
        for entry in parts["EndpointsConfigDump"].get(kind, ()):
            assignment = entry["endpoint_config"]
            assignments[assignment.get("cluster_name", "")] = assignment
    clusters = {}
    for cluster in parts["ClustersConfigDump"].get("dynamic_active_clusters", ()):
        fields = cluster["cluster"]
        if fields["name"].startswith("outbound|"):
            own = fields.get("load_assignment")
            clusters[fields["name"]] = _cluster(fields, own or assignments.get(fields["name"], {}))
    retries = {}
    for config in parts["RoutesConfigDump"].get("dynamic_route_configs", ()):
        for key, retry in _retries(config["route_config"]):
            retries[key] = retry
    return {"clusters": clusters, "retries": retries, "node": parts["BootstrapConfigDump"]["bootstrap"]["node"]}


def _cluster(dump: Json, assignment: Json) -> Json:
    common = dump.get("common_lb_config", {})
    http = dump.get("typed_extension_protocol_options", {}).get(_HTTP, {}).get("common_http_protocol_options", {})
    path = dump.get("metadata", {}).get("filter_metadata", {}).get("istio", {}).get("config", "").split("/")
    return {
        "type": dump.get("type", "STATIC") if "cluster_type" not in dump else dump["cluster_type"]["name"],
        "rule": f"{path[-3]}/{path[-1]}" if len(path) > 2 and path[-2] == "destination-rule" else "",
        "lb_policy": dump.get("lb_policy", "ROUND_ROBIN"),
        "locality_weighted": "locality_weighted_lb_config" in common,
        "zone_aware": common.get("zone_aware_lb_config"),
        "panic_threshold": common["healthy_panic_threshold"].get("value", 0)
        if "healthy_panic_threshold" in common
        else None,
        "outlier_detection": dump.get("outlier_detection"),
        "max_requests_per_connection": http.get("max_requests_per_connection"),
        "connect_timeout": dump.get("connect_timeout"),
        "groups": _groups(assignment.get("endpoints", ())),
    }


def _groups(sent: t.Iterable[Json]) -> list[Json]:
    return merged(
        {
            "place": tuple(group.get("locality", {}).get(part, "") for part in ("region", "zone", "sub_zone")),
            "priority": group.get("priority", 0),
            "weight": group.get("load_balancing_weight"),
            "endpoints": [
                (
                    _address(endpoint["endpoint"]["address"]),
                    endpoint.get("health_status", "UNKNOWN"),
                    endpoint.get("load_balancing_weight", 1),
                )
                for endpoint in group.get("lb_endpoints", ())
            ],
        }
        for group in sent
    )


def _address(address: Json) -> str:
    socket = address["socket_address"]
    return f"{socket['address']}:{socket['port_value']}"


def merged(groups: t.Iterable[Json]) -> list[Json]:
    """What Envoy makes of the groups: those without endpoints vanish, their order means nothing any more, and health of
    which istiod says nothing (that of a ServiceEntry's endpoints) is good."""
    sent_groups = [
        {
            **group,
            "endpoints": sorted(
                (address, "HEALTHY" if health == "UNKNOWN" else health, weight)
                for address, health, weight in group["endpoints"]
            ),
        }
        for group in groups
        if group["endpoints"]
    ]
    return sorted(sent_groups, key=lambda group: (group["priority"], group["place"]))


def oracles_cluster(answer: Json) -> Json:
    """Return an oracle's cluster in the same form."""
    groups = merged(
        {
            "place": (group["region"], group["zone"], group["sub_zone"]),
            "priority": group["priority"],
            "weight": group["weight"],
            "endpoints": [
                (endpoint["address"], endpoint["health"], endpoint["weight"] or 1) for endpoint in group["endpoints"]
            ],
        }
        for group in answer["groups"]
    )
    return {**{key: value for key, value in answer.items() if key != "name"}, "groups": groups}


def _retries(configuration: Json) -> t.Iterator[tuple[tuple[str, ...], Json]]:
    for host in configuration.get("virtual_hosts", ()):
        for route in host.get("routes", ()):
            action = route.get("route", {})
            policy = action.get("retry_policy") or host.get("retry_policy", {})
            names = [action.get("cluster", "")]
            names += [cluster["name"] for cluster in action.get("weighted_clusters", {}).get("clusters", ())]
            for name in names:
                if name.startswith("outbound|"):
                    key = (configuration["name"], host["name"], route.get("name", ""), name)
                    yield (
                        key,
                        {
                            "num_retries": policy.get("num_retries"),
                            "retry_on": policy.get("retry_on", ""),
                            "retry_priority": policy.get("retry_priority", {}).get("name"),
                            "retry_host_predicate": [
                                predicate["name"] for predicate in policy.get("retry_host_predicate", ())
                            ],
                        },
                    )


def oracles_retries(answer: Json) -> dict[tuple[str, ...], Json]:
    """Return an oracle's retries in the same form."""
    keys = ("route", "virtual_host", "name", "cluster")
    return {
        tuple(str(retry[key]) for key in keys): {key: value for key, value in retry.items() if key not in keys}
        for retry in answer.get("retries", ())
    }
