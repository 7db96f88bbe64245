# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that answers assume, by code: the sentences that people read are made here, and nowhere else.

Programs look at codes. A code stays as it is once it was released; a sentence may be put better.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.coded_sentence import CodedSentence, filled
from ansible_collections.meshops.locality.plugins.module_utils._model.unchecked import Unchecked

#: Code → the sentence; parameters are in braces.
TEXTS: t.Mapping[str, str] = {
    # What objects or files do not say.
    "default-node-platform": "Nodes that do not say so are taken to run linux on amd64.",
    "pods-in-cluster-stay": "These have pods in the cluster already, which stay as they are, whatever the manifests "
    "say: {objects}.",
    "replicas-of-autoscaler": "{object} is taken to have {replicas} replicas, as its autoscaler allows.",
    "pods-of-manifests": "{count} pods that do not exist are put in for {objects}, ready and spread as the scheduler "
    "would without a look at what nodes have room for.",
    "gateway-deployed": "istiod is taken to deploy one pod for each of these Gateways: {gateways}.",
    "namespaces-without-labels": "Namespaces that are not among the objects are taken to have no labels, so no sidecar "
    "is injected there unless a pod asks for it: {namespaces}.",
    "no-nodes": "There are no nodes: pods of manifests are nowhere, unless their workload asks for labels of a place; "
    "for these, nodes with exactly the labels asked for are invented.",
    "kustomization-not-applied": "{folder} has a kustomization, which was not applied: its files were read as they "
    "are. Give what `kubectl kustomize` prints instead.",
    "some-namespaces-read": "Only these namespaces were read: {namespaces}. Services, rules, endpoints and clients of "
    "others are not in the snapshot.",
    "gateway-to-other-networks": "There is a gateway to other networks: endpoints of other clusters are not in the "
    "snapshot.",
    # The control plane.
    "one-of-several-istiods": "There are several istiods, of the revisions {revisions}: the decisions of revision "
    "default were taken.",
    "one-of-several-mesh-configs": "There are mesh configs of the revisions {revisions}: that of {revision} was taken.",
    "mesh-config-of-installer": "The mesh config is that of {objects}.",
    "default-mesh-config": "There is no ConfigMap {config_map}: the mesh config is Istio's default.",
    "default-istiod-variable": "{object} takes {variable} from another object; istiod's default is assumed.",
    "default-istio-version": "The version of istiod is not known: the decisions of {version} are assumed.",
    "other-clusters-missing": "The control plane is set up for several clusters (this one is {cluster}{others}): "
    "endpoints of other clusters are not in the snapshot.",
    "namespaces-not-discovered": "istiod does not look at these namespaces (discoverySelectors): {namespaces}.",
    # Clients, and where their requests go.
    "steady-clients": "Endpoints of one locality answer equally fast, and every client keeps asking as it does now.",
    "hashing-policy": "{policy} sends requests with one key to one endpoint: shares are means over many keys.",
    "zone-aware-routing": "Zone-aware routing inside a priority is Envoy's own and depends on how many clients are in "
    "each zone: shares within a region are those without it.",
    "weights-differ": "Weights of endpoints differ: LEAST_REQUEST keeps to them only while requests come one at a "
    "time.",
    "one-of-several-routes": "Several routes lead there and retry differently; {route} is taken.",
    "clients-without-service": "Not all sidecars know these Services: {services}. Sidecars that do not know a "
    "Service are in none of its rows: {clients}.",
    "host-without-service": "Only VirtualServices have these hosts with these ports, no Service and no ServiceEntry: "
    "{hosts}. They are taken to resolve to addresses that no Service has; otherwise no request reaches the route.",
    "every-client-asks": "Every client sends requests to every Service that it knows, all alike.",
    "lost-clients-stop": "Clients in a lost place send no more requests.",
    "lost-clients-go-on": "Clients in a lost place go on sending: only endpoints are lost.",
    "intermediaries-lost": "Gateways and waypoints in a lost place are lost, too: others of the row take over.",
    "rate-against-capacities": "Each client sends {rate} requests a second, which the given capacities are held "
    "against.",
    "autoscaler-cpu": "Where an autoscaler keeps pods at a percent of the CPU they request, they use that much of it "
    "now, and can carry more requests up to their limit.",
    "headroom": "Where neither a capacity nor an autoscaler is set, a pod is assumed to carry {headroom} times "
    "what the busiest pod of its Service carries now.",
    "only-version-changes": "Nothing but istiod's version changes: same objects, same mesh config, same feature "
    "variables.",
    # The course of a failover.
    "removed-endpoints-answer": "The endpoints answer until this Envoy knows that they are gone, and finish what they "
    "have begun.",
    "no-merge-window": "Additions and removals of endpoints are not held back by the merge window.",
    "fault-at-once": "All lost endpoints have the fault from the same moment on, and every try on one of them fails.",
    "rate-of-one-client": "The rate, {rate} requests per second at random times, is one client's; each ejects for "
    "itself.",
    "equal-weights": "Healthy endpoints get what Envoy's load balancing gives them; all endpoints of a locality weigh "
    "the same.",
    "no-outlier-detection": "There is no outlier detection, so Envoy ejects no endpoint.",
    "failure-not-ejected": "Outlier detection, as it is set, never ejects for this failure ({failure}).",
    "failures-in-a-row": "An endpoint is ejected after {errors} failures in a row that this client's Envoy sees.",
    "merge-window": "The merge window is {seconds} s; no other update of the cluster opened one just before.",
    "tried-again-after-ejection": "Endpoints that are still broken when their ejection ends (after at least {seconds} "
    "s) are tried again; what fails then is counted by watch only.",
    "no-retries": "There are no retries.",
    "failure-not-retried": "The retry policy ({retry_on}) does not cover this failure.",
    "retries": "A failed try is repeated up to {attempts} times{where}; no request is too large for that.",
    "retries-not-limited": "Retries at the same time are not limited, as istiod sets it; "
    "connectionPool.http.maxRetries limits them.",
    "new-connections": "Every request needs a new connection. Envoy up to 1.39 goes on answering on connections that "
    "stood before the drain: with such connections fewer requests fail, and those on them never leave.",
    "waiting-requests-fail": "Requests that wait for a connection to an endpoint fail with its first connect timeout "
    "(HTTP/1.1).",
    "late-retries": "Retries often take longer than assumed and then succeed: 0.5 to 1 times the failures were "
    "measured.",
    "connection-pool-limits": "Requests stay within the limits of the connection pool ({fields}): those beyond them "
    "get 503 at once.",
    "no-route-timeout": "Requests already sent on connections that stood before wait for ever: the route has no "
    "timeout.",
    "gateway-until-removed": "A gateway of another network sends requests to lost endpoints until they are removed; no "
    "retry helps.",
    "gateway-on-the-way": "Requests by the gateway {gateway} take a hop more; those that reach it are shared over its "
    "pods as they are in the end.",
    "never-removed": "Nothing takes the lost endpoints out of service discovery.",
    "some-removed": "After {seconds} s those lost endpoints that Kubernetes can take out are out; the others stay.",
    "tried-again-during-fault": "The fault lasts longer than an ejection: up to {times} time(s) Envoy tries the lost "
    "endpoints again, and where retries do not leave their priority, up to {seconds} s of requests fail "
    "(update_merge_window).",
    "all-removed": "After {seconds} s Kubernetes has taken the lost endpoints out, and this Envoy knows it at once.",
}


class Assumption(CodedSentence):
    """Something that an answer assumes: `code` for programs, `text` for people, made of the code and `parameters`."""


def assumption(code: str, **parameters: object) -> Assumption:
    """Return an assumption; its code is in TEXTS, and so are the names of its parameters."""
    return Assumption(code, *filled(TEXTS[code], parameters))


def assumed(reason: Unchecked) -> Assumption:
    """Return what is not checked as something that an answer assumes: same code, sentence and parameters."""
    return Assumption(reason.code, reason.text, reason.parameters)
