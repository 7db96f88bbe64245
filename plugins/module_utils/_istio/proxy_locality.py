# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where pods are as endpoints and as clients: locality and labels, as istiod puts them together.

Source: istio 1.31 pilot/pkg/serviceregistry/kube/controller/controller.go (getPodLocality, GetProxyWorkloadLabels),
pilot/pkg/serviceregistry/util/label/label.go (AugmentLabels) and pilot/pkg/xds/ads.go (setTopologyLabels).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import functools
import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._istio.network_gateways import Networks, ip_families
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import Semantics
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    CLUSTER_LABEL,
    HOSTNAME_LABEL,
    LEGACY_LOCALITY_LABEL,
    LOCALITY_LABEL,
    NETWORK_LABEL,
    PLACE_LABELS,
    REGION_LABEL,
    SUBZONE_LABEL,
    ZONE_LABEL,
    Locality,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import (
    Endpoint,
    Labels,
    Pod,
    Snapshot,
    Unselected,
)


def locality_label(labels: Labels, semantics: Semantics) -> str:
    """Return the label by which a pod names its own locality; '' when it has none or an empty one.

    topology.istio.io/locality (Istio 1.29 and later) hides istio-locality even when it is empty itself.
    Source: istio 1.31 pkg/model/proxy.go, GetLocalityLabel.
    """
    if semantics.locality_label and LOCALITY_LABEL in labels:
        return labels[LOCALITY_LABEL]
    return labels.get(LEGACY_LOCALITY_LABEL, "")


def pod_locality(labels: Labels, node_labels: Labels | None, semantics: Semantics) -> str:
    """Return a pod's locality as an endpoint, as istiod writes it: its own label, else `region/zone/subzone` of its
    node's labels (None: the node is not known).

    Empty parts stay (`region//`); nothing at all is ''. A label cannot hold a slash, so every dot of it stands for
    one, unless it has slashes after all. `Locality.parse` reads the result.
    """
    own = locality_label(labels, semantics)
    if own:
        return own if "/" in own else own.replace(".", "/")
    place = Locality.from_node_labels(node_labels or {})
    return f"{place.region}/{place.zone}/{place.subzone}" if place else ""


def augmented(labels: Labels, locality: str, node: str, cluster: str, network: str) -> dict[str, str]:
    """Return labels with what istiod adds to those of every endpoint and client."""
    place = Locality.parse(locality)
    more = dict(labels)
    for name, value in (
        (REGION_LABEL, place.region),
        (ZONE_LABEL, place.zone),
        (SUBZONE_LABEL, place.subzone),
        (CLUSTER_LABEL, cluster),
        (HOSTNAME_LABEL, node),
    ):
        if value:
            more[name] = value
    if network and not more.get(NETWORK_LABEL):
        more[NETWORK_LABEL] = network
    return more


def client_locality(labels: Labels, semantics: Semantics) -> Locality:
    """Return a proxy's locality as a client; `labels` are its pod's, with what `augmented` adds.

    The pod's own topology.kubernetes.io/zone takes effect where its node has none: that differs for the same pod as an
    endpoint. Source: istio 1.31 pilot/pkg/xds/ads.go, setTopologyLabels.
    """
    if any(name in labels for name in PLACE_LABELS):
        return Locality(labels.get(REGION_LABEL, ""), labels.get(ZONE_LABEL, ""), labels.get(SUBZONE_LABEL, ""))
    return Locality.parse(locality_label(labels, semantics))


def pod_client_locality(labels: Labels, node_labels: Labels | None, semantics: Semantics) -> Locality:
    """Return the locality as a client of a pod with these labels; `node_labels` None: its node is not known."""
    place = pod_locality(labels, node_labels, semantics)
    return client_locality(augmented(labels, place, "", "", ""), semantics)


@dataclass(frozen=True)
class Client:
    """A proxy that sends requests. `type` is sidecar, router (gateway) or waypoint; `labels` are as istiod has them."""

    namespace: str
    name: str
    type: str
    locality: Locality
    labels: Labels
    node: str = ""
    revision: str = ""
    self_discovery: bool = False
    network: str = ""
    #: The IP versions of its addresses.
    families: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """`namespace/name` of its pod."""
        return f"{self.namespace}/{self.name}"


class PodLocalities:
    """Localities and labels of a snapshot's pods, computed once."""

    def __init__(self, snapshot: Snapshot, semantics: Semantics) -> None:
        self._snapshot = snapshot
        self._semantics = semantics
        self.networks = Networks(snapshot)
        self._labels: dict[str, dict[str, str]] = {}
        self._localities: dict[str, str] = {}

    def locality(self, pod: Pod) -> str:
        """Return a pod's locality as an endpoint, istiod's string."""
        if pod.key not in self._localities:
            node = self._snapshot.node_by_name.get(pod.node)
            self._localities[pod.key] = pod_locality(pod.labels, node.labels if node else None, self._semantics)
        return self._localities[pod.key]

    def of_entry(self, entry: Endpoint | Unselected) -> str:
        """Return the locality of a WorkloadEntry, or of an endpoint in a ServiceEntry, istiod's string: its field wins
        over its label. (A pod's label wins over its node.)

        Source: istio 1.31 pilot/pkg/serviceregistry/serviceentry/conversion.go, convertWorkloadEntryToWorkloadInstance.
        """
        return entry.locality or pod_locality(entry.labels, None, self._semantics)

    def labels(self, pod: Pod) -> dict[str, str]:
        """Return a pod's labels as an endpoint and as a client."""
        if pod.key not in self._labels:
            place, cluster = self.locality(pod), self._snapshot.cluster
            network = self.networks.of(pod.addresses[0] if pod.addresses else "", pod.labels)
            self._labels[pod.key] = augmented(pod.labels, place, pod.node, cluster, network)
        return self._labels[pod.key]

    def client(self, pod: Pod) -> Client:
        """Return the proxy of a pod."""
        labels = self.labels(pod)
        place = client_locality(labels, self._semantics)
        network = self.client_network(pod)
        return Client(
            pod.namespace,
            pod.name,
            pod.proxy,
            place,
            augmented(labels, _shown(place), pod.node, self._snapshot.cluster, network),
            pod.node,
            pod.revision,
            pod.self_discovery,
            network,
            ip_families(pod.addresses),
        )

    def client_network(self, pod: Pod) -> str:
        """Return the network that a pod's Envoy says it is in.

        A replica of a manifest has what the injector would write: the pod's label, else the installation's
        global.network, which the label of istiod's namespace repeats.
        Source: istio 1.31 pkg/kube/inject/inject.go, RunTemplate.
        """
        if pod.network or not pod.assumed:
            return pod.network
        return pod.labels.get(NETWORK_LABEL, "") or self.networks.of_system_namespace

    @functools.cached_property
    def clients(self) -> tuple[Client, ...]:
        """Every proxy of the snapshot, by namespace and name."""
        return tuple(self.client(pod) for pod in self._snapshot.pods if pod.proxy in ("sidecar", "router", "waypoint"))


def _shown(place: Locality) -> str:
    """Return `region/zone/subzone` up to the first empty part behind the region. Source: util.go, LocalityToString."""
    parts = [place.region]
    for part in (place.zone, place.subzone):
        if not part:
            break
        parts.append(part)
    return "/".join(parts)


def class_key(client: Client, names: t.Collection[str], by_node: bool) -> tuple[t.Any, ...]:
    """Return what clients with the same answers for everything have in common.

    `names` are the labels that any rule looks at; `by_node`: some Service keeps requests on their node. Of a gateway
    and a waypoint all labels matter but its node's: they say which Gateways it is for.
    """
    if client.type != "sidecar":
        names = {*names, *client.labels.keys() - {HOSTNAME_LABEL}}
    chosen = tuple((name, client.labels.get(name)) for name in sorted(names))
    node = client.node if by_node else ""
    own = (client.self_discovery, client.network, client.families)
    return (client.namespace, client.type, client.locality, bool(client.labels), chosen, node, *own)
