# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of objects that change what becomes of a request and that are not read: a result names the objects.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import Kind
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import NotJudged, unjudged

#: How many objects of a kind are named.
NAMED = 5


class KindNotRead(t.NamedTuple):
    """A kind, in each version that an API server may serve, the newest first, and what its objects `hide`.

    `live`: whether a cluster is asked for it; without, what a cluster shows by other kinds is enough. `needs`: the path
    of a field without which an object changes nothing.
    """

    versions: tuple[Kind, ...]
    hides: str
    live: bool = True
    needs: str = ""

    def concerns(self, item: t.Any) -> bool:
        """Whether an object of the kind changes anything."""
        for name in self.needs.split():
            item = item.get(name) if isinstance(item, t.Mapping) else None
        return bool(item)

    @property
    def kind(self) -> str:
        return self.versions[0].kind

    @property
    def group(self) -> str:
        return self.versions[0].group


def _kind(versions: str, kind: str, plural: str, hides: str, *, live: bool = True, needs: str = "") -> KindNotRead:
    return KindNotRead(tuple(Kind(version, kind, plural) for version in versions.split()), hides, live, needs)


_ISTIO = "networking.istio.io"
_SECURITY = "security.istio.io/v1"
_GATEWAY_API = "gateway.networking.k8s.io"
#: Kinds without a namespace that matter where a StatefulSet claims volumes.
VOLUMES = ("StorageClass", "PersistentVolume")
_PLACES = "in which places pods with its volumes may run"

KINDS_NOT_READ = (
    _kind(f"{_ISTIO}/v1alpha3", "EnvoyFilter", "envoyfilters", "changes that it makes to Envoy's own configuration"),
    _kind(f"{_SECURITY}", "AuthorizationPolicy", "authorizationpolicies", "requests that it denies"),
    _kind(f"{_SECURITY}", "RequestAuthentication", "requestauthentications", "requests that it refuses"),
    _kind("extensions.istio.io/v1alpha1", "WasmPlugin", "wasmplugins", "what its code does with requests"),
    _kind(
        "extensions.istio.io/v1alpha1",
        "TrafficExtension",
        "trafficextensions",
        "what its filters do with requests",
    ),
    _kind(
        "inference.networking.k8s.io/v1",
        "InferencePool",
        "inferencepools",
        "which of their pods an endpoint picker chooses, where istiod has ENABLE_GATEWAY_API_INFERENCE_EXTENSION",
    ),
    # istiod makes nothing of it, so that a cluster need not be asked.
    _kind(
        f"{_GATEWAY_API}/v1alpha2",
        "UDPRoute",
        "udproutes",
        "datagrams: neither sidecars nor Istio's gateways take any",
        live=False,
    ),
    _kind(f"{_ISTIO}/v1beta1", "ProxyConfig", "proxyconfigs", "variables and images that it sets for proxies"),
    _kind(f"{_GATEWAY_API}/v1", "ListenerSet", "listenersets", "requests that enter by its listeners"),
    # Of a cluster its routes are read, which say as much.
    _kind(
        "gateway.networking.x-k8s.io/v1alpha1",
        "XListenerSet",
        "xlistenersets",
        "requests that enter by its listeners",
        live=False,
    ),
    _kind(
        f"{_GATEWAY_API}/v1 {_GATEWAY_API}/v1alpha3",
        "BackendTLSPolicy",
        "backendtlspolicies",
        "rules that istiod makes of it",
    ),
    _kind(
        "gateway.networking.x-k8s.io/v1alpha1",
        "XBackendTrafficPolicy",
        "xbackendtrafficpolicies",
        "rules that istiod makes of it",
    ),
    _kind(f"{_ISTIO}/v1", "WorkloadGroup", "workloadgroups", "workloads that register by it", live=False),
    _kind("v1", "Endpoints", "endpoints", "endpoints of Services without a selector", live=False),
    _kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", "connections that it denies"),
    # Of a cluster its pods, its autoscalers and its rules are read.
    _kind("keda.sh/v1alpha1", "ScaledObject", "scaledobjects", "how many replicas it leaves a workload", live=False),
    _kind(
        "argoproj.io/v1alpha1",
        "Rollout",
        "rollouts",
        "how many replicas of its workloadRef run, and where it leads requests during a rollout",
        live=False,
        needs="spec workloadRef",
    ),
    _kind(
        "flagger.app/v1beta1",
        "Canary",
        "canaries",
        "Services, rules and routes that Flagger makes of it, and where it leads requests during a rollout",
        live=False,
    ),
    _kind("v1", "ResourceQuota", "resourcequotas", "pods that it does not let in", live=False),
    _kind("storage.k8s.io/v1", VOLUMES[0], "storageclasses", _PLACES, live=False, needs="allowedTopologies"),
    _kind("v1", VOLUMES[1], "persistentvolumes", _PLACES, live=False, needs="spec nodeAffinity"),
)


def kind_not_read(group: str, kind: str) -> KindNotRead | None:
    """Return the entry of a kind; None for one that is read or that does nothing to requests."""
    return next((each for each in KINDS_NOT_READ if (each.group, each.kind) == (group, kind)), None)


def not_judged(objects: t.Mapping[KindNotRead, t.Sequence[str]]) -> list[NotJudged]:
    """Return one entry for each kind of which there are objects. `objects`: their names, as people read them."""
    return [
        unjudged(
            "kind-not-read",
            len(names),
            kind=kind.kind,
            objects=first_names(dict.fromkeys(names), NAMED),
            effect=kind.hides,
        )
        for kind, names in sorted(objects.items(), key=lambda entry: entry[0].kind)
        if names
    ]
