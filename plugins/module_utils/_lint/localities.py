# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ML50x: who is nowhere, and labels that contradict each other or what Envoy still has.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import abc

from ansible_collections.meshops.locality.plugins.module_utils._istio.endpoints import TERMINATING
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import locality_label
from ansible_collections.meshops.locality.plugins.module_utils._lint.context import View
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import (
    ERROR,
    INFO,
    ISTIO,
    WARNING,
    RuleResult,
    Where,
    issue,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.finding_texts import (
    clients_of,
    count,
    listed,
    place,
    unanswered,
)
from ansible_collections.meshops.locality.plugins.module_utils._lint.rule_table import rule
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    LEGACY_REGION_LABEL,
    LEGACY_ZONE_LABEL,
    PLACE_LABELS,
    REGION_LABEL,
    ZONE_LABEL,
    Locality,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Node, Pod

_LABELS = "https://kubernetes.io/docs/reference/labels-annotations-taints/#topologykubernetesiozone"


def _pods_on(view: View) -> dict[str, list[Pod]]:
    by_node: dict[str, list[Pod]] = {}
    for pod in view.snapshot.pods:
        by_node.setdefault(pod.node, []).append(pod)
    return by_node


def _labelled(node: Node) -> bool:
    return bool(node.locality.region)


@rule("ML501", WARNING, "A node without a region or zone", issue(39792))
def nodes_nowhere(view: View) -> t.Iterator[RuleResult]:
    """Pods of the mesh run on a node that has no topology labels: as clients and as endpoints they are nowhere.

    Or it has no zone, and others of its region have one.
    """
    pods = _pods_on(view)
    clients = {client.key: client for client in view.planner.clients}
    behind = {endpoint.pod for service in view.snapshot.services for endpoint in service.endpoints if endpoint.pod}
    known = sorted({str(node.locality) for node in view.snapshot.nodes if _labelled(node)})
    zoned = {node.locality.region for node in view.snapshot.nodes if _labelled(node) and node.locality.zone}
    for node in view.snapshot.nodes:
        here = [pod for pod in pods.get(node.name, ()) if not view.planner.places.locality(pod).split("/")[0]]
        own = [clients[pod.key] for pod in here if pod.key in clients]
        endpoints = [pod for pod in here if pod.key in behind]
        if not _labelled(node) and (own or endpoints):
            yield RuleResult(
                Where(f"Node {node.name}", f"metadata.labels[{REGION_LABEL}]"),
                f"{count(len(own), 'client')} and {count(len(endpoints), 'endpoint')} on {node.name} "
                f"are nowhere: the node has no label {REGION_LABEL}.",
                "For such a client all regions are equally far away; for the others such an endpoint "
                "is further away than any other of their region, and distribute leaves it out.",
                f"Label the node, for example as {known[0]}."
                if known
                else f"Label the nodes with {REGION_LABEL} and {ZONE_LABEL}.",
                tuple(own),
            )
        elif pods.get(node.name) and not node.locality.zone and node.locality.region in zoned:
            yield RuleResult(
                Where(f"Node {node.name}", f"metadata.labels[{ZONE_LABEL}]"),
                f"{node.name} has no label {ZONE_LABEL}; other nodes of {node.locality.region} have it.",
                "Its pods are in no zone: none of a zone is near to them, and a lost zone takes none of them here.",
                f"Label the node, for example as {known[-1]}.",
            )


@rule("ML502", WARNING, "Clients without a locality", issue(39792))
def clients_nowhere(view: View) -> t.Iterator[RuleResult]:
    """Clients are nowhere although it is not their node that lacks labels."""
    by_namespace: dict[str, list[t.Any]] = {}
    for client in view.planner.clients:
        node = view.snapshot.node_by_name.get(client.node)
        if not client.locality.region and (node is None or _labelled(node)):
            by_namespace.setdefault(client.namespace, []).append(client)
    for namespace, clients in sorted(by_namespace.items()):
        nodes = sorted({client.node or "(none yet)" for client in clients})
        yield RuleResult(
            Where(f"Namespace {namespace}"),
            f"{count(len(clients), 'client')} in namespace {namespace} have no region; of their nodes "
            f"({listed(nodes)}) nothing is known here.",
            "All their endpoints are equally far away, so failover does nothing for them.",
            "Give the nodes as well, or label the pods with topology.istio.io/locality.",
            tuple(clients),
        )


@rule("ML503", WARNING, "Endpoints without a locality", issue(59202))
def endpoints_nowhere(view: View) -> t.Iterator[RuleResult]:
    """Endpoints that are behind no pod, or behind one that is nowhere, of a Service whose localities are ordered."""
    for host, cases in view.services.items():
        ordering = [case for case in cases if case.assignment.ordered or (case.setting and case.setting.distribute)]
        service = cases[0].service
        known = [endpoint for endpoint in view.planner.endpoints.known(service) if endpoint.health != TERMINATING]
        lost = [
            endpoint for endpoint in known if not endpoint.locality.split("/")[0] and not _of_node(view, endpoint.node)
        ]
        if not ordering or not lost or len(lost) == len(known):
            continue
        external = service.registry != "Kubernetes"
        distributing = any(case.setting and case.setting.distribute for case in ordering)
        yield RuleResult(
            Where(service.source, "spec.endpoints" if external else ""),
            f"{len(lost)} of {count(len(known), 'endpoint')} of {host} have no locality: "
            f"{listed(endpoint.address for endpoint in lost)}.",
            "distribute gives them nothing."
            if distributing
            else "They are the last choice of every client that is somewhere.",
            "locality: region/zone at each endpoint"
            if external
            else "Let the EndpointSlice refer to pods, or use a ServiceEntry with locality.",
            clients_of(ordering),
        )


def _of_node(view: View, name: str) -> bool:
    """Whether ML501 says it of the node."""
    node = view.snapshot.node_by_name.get(name)
    return node is not None and not _labelled(node)


@rule("ML508", WARNING, "A WorkloadEntry that nothing selects", f"{ISTIO}/workload-entry/")
def unselected(view: View) -> t.Iterator[RuleResult]:
    """No ServiceEntry and no Service of its namespace has a selector for it."""
    for entry in view.snapshot.unselected:
        elsewhere = sorted(
            {
                service.source
                for service in view.snapshot.services
                if service.selector
                and service.namespace != entry.namespace
                and all(entry.labels.get(key) == value for key, value in service.selector.items())
            }
        )
        hint = f" {listed(elsewhere)} would select it, but selectors end at their namespace." if elsewhere else ""
        namespace = elsewhere[0].partition(" ")[2].partition("/")[0] if elsewhere else ""
        where = view.planner.places.of_entry(entry) or "none"
        yield RuleResult(
            Where(
                f"WorkloadEntry {entry.namespace}/{entry.name}", "metadata.namespace" if elsewhere else "spec.labels"
            ),
            f"Nothing in namespace {entry.namespace} selects it, so it is an endpoint of no Service.{hint}",
            f"No request is sent to it, and its locality ({where}) is no place to fail over to.",
            f"metadata.namespace: {namespace}"
            if namespace
            else "Add the labels that a workloadSelector in its namespace asks for.",
        )


@rule("ML509", WARNING, "A ServiceEntry without endpoints", f"{ISTIO}/service-entry/")
def without_endpoints(view: View) -> t.Iterator[RuleResult]:
    """STATIC, and neither `endpoints` nor anything that its workloadSelector selects."""
    for service in view.snapshot.services:
        if service.registry == "Kubernetes" or service.resolution != "ClientSideLB" or service.endpoints:
            continue
        fate = unanswered(service.ports)
        yield RuleResult(
            Where(service.source, "spec.workloadSelector" if service.selector else "spec.endpoints"),
            f"{service.host} has no endpoint"
            + (
                f": nothing in {service.namespace} has the labels of its workloadSelector." if service.selector else "."
            ),
            f"{fate[0].upper()}{fate[1:]}.",
            "Give it endpoints, or pods and WorkloadEntries in its own namespace that its selector matches.",
        )


@rule(
    "ML510",
    WARNING,
    "Pods of a Service that lack its port",
    "https://kubernetes.io/docs/concepts/services-networking/service/#field-spec-ports",
)
def lacking_port(view: View) -> t.Iterator[RuleResult]:
    """The selector takes them, and they are no endpoint of a port that others have: its targetPort is a name."""
    by_label: dict[tuple[str, str, str], list[Pod]] = {}
    for pod in view.snapshot.pods:
        for name, value in pod.labels.items() if pod.addresses else ():
            by_label.setdefault((pod.namespace, name, value), []).append(pod)
    for service in view.snapshot.services:
        if service.registry != "Kubernetes" or not service.selector or not service.endpoints:
            continue
        alike = (by_label.get((service.namespace, *pair), []) for pair in service.selector.items())
        selected = [pod for pod in min(alike, key=len) if service.selector.items() <= pod.labels.items()]
        for port in service.ports:
            behind = {
                endpoint.pod
                for endpoint in service.endpoints
                if any(name == port.name for name, _number in endpoint.ports)
            }
            lacking = [pod for pod in selected if pod.key not in behind]
            if not lacking or not behind - {""}:
                continue
            places = sorted({place(Locality.parse(view.planner.places.locality(pod))) for pod in lacking})
            names = listed(dict.fromkeys(pod.workload or f"Pod/{pod.name}" for pod in lacking))
            yield RuleResult(
                Where(service.source, "spec.ports"),
                f"{len(lacking)} of {count(len(selected), 'pod')} that the selector of {service.host} takes are no "
                f"endpoint of port {port.number}: {names}.",
                f"No request reaches them, and {listed(places)} {'is' if len(places) == 1 else 'are'} no place to fail "
                "over to because of them.",
                "Name the port of their containers as targetPort says, or take their labels out of the selector.",
            )


@rule("ML504", WARNING, "Labels of a node contradict each other", _LABELS)
def contradictory(view: View) -> t.Iterator[RuleResult]:
    """Old and new labels differ, or a narrower place is named without the wider one."""
    pods = _pods_on(view)
    for node in view.snapshot.nodes:
        labels, where = node.labels, f"Node {node.name}"
        number = len(pods.get(node.name, ()))
        for current, old in ((REGION_LABEL, LEGACY_REGION_LABEL), (ZONE_LABEL, LEGACY_ZONE_LABEL)):
            if labels.get(old) and labels.get(current) and labels[old] != labels[current]:
                yield RuleResult(
                    Where(where, f"metadata.labels[{old}]"),
                    f"{old} is {labels[old]}, {current} is {labels[current]}: Istio takes the latter.",
                    f"Whoever reads the old label places the {count(number, 'pod')} of this node elsewhere.",
                    f"Remove {old}.",
                )
        region, zone, subzone = node.locality
        if zone and not region:
            yield RuleResult(
                Where(where, f"metadata.labels[{REGION_LABEL}]"),
                f"The node has zone {zone} and no region, so its {count(number, 'pod')} are in the "
                "region with the empty name.",
                "They are in no region of any failover entry, and beyond the region of all others.",
                f"{REGION_LABEL}: (the region of zone {zone})",
            )
        if subzone and not zone:
            yield RuleResult(
                Where(where, f"metadata.labels[{ZONE_LABEL}]"),
                f"The node has subzone {subzone} and no zone.",
                f"Its {count(number, 'pod')} are in a zone with the empty name, as those of every "
                "other such node in the region.",
                f"{ZONE_LABEL}: (the zone of subzone {subzone})",
            )


@rule(
    "ML505", INFO, "A pod's label places it elsewhere than its node", f"{ISTIO}/workload-entry/#WorkloadEntry-locality"
)
def overridden(view: View) -> t.Iterator[RuleResult]:
    """topology.istio.io/locality or istio-locality of a pod wins over the node."""
    by_label: dict[tuple[str, str, str], list[Pod]] = {}
    for pod in view.snapshot.pods:
        node = view.snapshot.node_by_name.get(pod.node)
        own = locality_label(pod.labels, view.planner.semantics)
        if not own or node is None or not node.locality:
            continue
        here = Locality.parse(view.planner.places.locality(pod))
        if here != node.locality:
            by_label.setdefault((pod.namespace, pod.workload or f"Pod/{pod.name}", own), []).append(pod)
    for (namespace, workload, own), pods in sorted(by_label.items()):
        kind, _slash, name = workload.partition("/")
        node = view.snapshot.node_by_name[pods[0].node]
        counted = view.planner.places.locality(pods[0])
        yield RuleResult(
            Where(
                f"{kind} {namespace}/{name}", "spec.template.metadata.labels" if kind != "Pod" else "metadata.labels"
            ),
            f"{count(len(pods), 'pod')} with the label {own} are taken to be in {counted}; node {node.name} "
            f"is in {place(node.locality)}.",
            "When the node's zone is lost, Istio does not know that these pods are lost with it.",
            "Remove the label, unless the node's labels are wrong.",
        )


@rule("ML506", WARNING, "A pod is in one place as a client and in another as an endpoint", issue(42263))
def two_places(view: View) -> t.Iterator[RuleResult]:
    """A pod's own topology.kubernetes.io labels apply to it as a client only, where its node has none."""
    for client in view.planner.clients:
        pod = view.snapshot.pod_by_key.get(client.key)
        if pod is None:
            continue
        here = Locality.parse(view.planner.places.locality(pod))
        own = [name for name in PLACE_LABELS if name in pod.labels]
        if own and here != client.locality:
            yield RuleResult(
                Where(f"Pod {pod.key}", f"metadata.labels[{own[0]}]"),
                f"As a client the pod is in {place(client.locality)}, as an endpoint in {place(here)}.",
                f"Its own label {own[0]} applies to it as a client only; endpoints are placed by their node.",
                f"Label node {pod.node or '(none)'}, and not the pod.",
                (client,),
            )


@rule("ML507", ERROR, "Envoy still has another locality", issue(50033))
def stale(view: View) -> t.Iterator[RuleResult]:
    """What endpoints_info saw in the clients' Envoys is not what the labels say now."""
    planned = {(pod.addresses[0] if pod.addresses else ""): pod for pod in view.snapshot.pods}
    clients = {client.key: client for client in view.planner.clients}
    differing: dict[str, tuple[str, str, str, set[str]]] = {}
    for seen in view.observed:
        key = f"{seen.get('namespace') or ''}/{seen.get('pod') or ''}"
        client = clients.get(key)
        if client is not None and seen.get("locality") is not None and str(seen["locality"]) != str(client.locality):
            differing[f"Pod {key}"] = ("itself", str(seen["locality"]), str(client.locality), {key})
        endpoints = seen.get("endpoints")
        for endpoint in endpoints if isinstance(endpoints, (list, tuple)) else ():
            if not isinstance(endpoint, abc.Mapping):
                continue
            pod = planned.get(str(endpoint.get("address") or "").rpartition(":")[0].strip("[]"))
            if pod is None:
                continue
            here = str(Locality.parse(view.planner.places.locality(pod)))
            observed = str(endpoint.get("locality") or "")
            if observed != here:
                _what, _there, _here, holders = differing.setdefault(
                    f"Pod {pod.key}", ("the endpoint", observed, here, set())
                )
                holders.add(key)
    for name, (what, there, here, holders) in sorted(differing.items()):
        yield RuleResult(
            Where(name),
            f"Envoy of {count(len(holders), 'client')} has {what} in {there or 'no locality'}, but its "
            f"labels say {here or 'no locality'}.",
            "istiod places an endpoint when its EndpointSlice changes and a client when it connects, "
            "not when a node is labelled: requests go by the old place.",
            "Restart the pod."
            if what == "itself"
            else "meshops.locality.node_topology with notify_istiod: true, or a restart of the pod.",
            tuple(clients[key] for key in sorted(holders) if key in clients),
        )
