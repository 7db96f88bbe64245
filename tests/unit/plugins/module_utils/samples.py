# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One object of each kind with every field that a snapshot reads, and with much that must never be in one."""

from __future__ import annotations

import copy
import typing as t

from hypothesis import strategies as st

Json = dict[str, t.Any]

#: Stands where secrets may stand; it must be nowhere in a snapshot.
SECRET = "hunter2-hunter2"


def metadata(name: str, namespace: str | None = "shop", **labels: str) -> Json:
    return {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        "labels": {"app": "web", **labels},
        "annotations": {
            "kubectl.kubernetes.io/last-applied-configuration": SECRET,
            "networking.istio.io/traffic-distribution": "PreferClose",
            "networking.istio.io/exportTo": "*",
            "istio.io/connect-strategy": "RACE_FIRST_TCP_CONNECT",
        },
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "uid": SECRET,
        "managedFields": [{"manager": SECRET}],
    }


CONTAINERS: list[Json] = [
    {
        "name": "web",
        "image": "web:1",
        "command": ["web", SECRET],
        "env": [{"name": "PASSWORD", "value": SECRET}],
        "ports": [{"name": "www", "containerPort": 8080, "protocol": "TCP"}, {"containerPort": 9090}],
        "resources": {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"cpu": 1}},
    },
    {
        "name": "istio-proxy",
        "args": ["proxy", "sidecar"],
        "env": [{"name": "ISTIO_META_ENABLE_SELF_DISCOVERY", "value": "true"}, {"name": "TOKEN", "value": SECRET}],
    },
]
SPREAD: Json = {
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "topology.kubernetes.io/zone",
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }
    ],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {
                        "matchExpressions": [
                            {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["z1", "z2"]}
                        ]
                    }
                ]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 5, "preference": {"matchExpressions": [{"key": "fast", "operator": "Exists"}]}}
            ],
        },
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 1,
                    "podAffinityTerm": {
                        "topologyKey": "kubernetes.io/hostname",
                        "labelSelector": {"matchLabels": {"app": "web"}},
                    },
                }
            ],
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "rack", "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}
            ],
        },
    },
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "web", "effect": "NoSchedule"}],
}


def workload(kind: str, name: str, **spec: t.Any) -> Json:
    template = {
        "metadata": {"labels": {"app": "web"}, "annotations": {"sidecar.istio.io/inject": "true", "x": SECRET}},
        "spec": {"containers": CONTAINERS, **SPREAD},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": metadata(name),
        "spec": {"replicas": 2, "template": template, **spec},
    }


def objects() -> list[Json]:
    """Return the samples: a small mesh of which every part refers to the others."""
    istio = "networking.istio.io/v1"
    return [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata(
                "n1",
                None,
                **{"topology.kubernetes.io/region": "r1", "topology.kubernetes.io/zone": "z1", "disk": "ssd"},
            ),
            "spec": {"unschedulable": False, "taints": [{"key": "dedicated", "value": "web", "effect": "NoSchedule"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True"}], "images": [{"names": [SECRET]}]},
        },
        {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata("shop", None, **{"istio-injection": "enabled"})},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                **metadata("web-1", **{"pod-template-hash": "abc"}),
                "ownerReferences": [{"kind": "ReplicaSet", "name": "web-abc", "controller": True, "uid": SECRET}],
            },
            "spec": {
                "nodeName": "n1",
                "hostNetwork": False,
                "containers": CONTAINERS,
                "initContainers": [
                    {"name": "init", "restartPolicy": "Always", "env": [{"name": "A", "value": SECRET}]}
                ],
                "volumes": [{"name": SECRET}],
            },
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "podIPs": [{"ip": "10.0.0.1"}],
                "conditions": [{"type": "Ready", "status": "True", "message": SECRET}],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata("web"),
            "spec": {
                "type": "ClusterIP",
                "clusterIP": "10.1.0.1",
                "selector": {"app": "web"},
                "ports": [
                    {"name": "http", "port": 80, "targetPort": "www", "protocol": "TCP", "appProtocol": "http"},
                    {"name": "tcp", "port": 90, "targetPort": 9090},
                ],
                "trafficDistribution": "PreferClose",
                "internalTrafficPolicy": "Local",
                "publishNotReadyAddresses": False,
            },
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata("web-x", **{"kubernetes.io/service-name": "web"}),
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            "endpoints": [
                {
                    "addresses": ["10.0.0.1"],
                    "conditions": {"ready": True, "serving": True, "terminating": False},
                    "targetRef": {"kind": "Pod", "namespace": "shop", "name": "web-1", "uid": SECRET},
                    "nodeName": "n1",
                },
                {"addresses": ["10.0.0.9"], "conditions": {"ready": False}},
            ],
        },
        workload("Deployment", "web"),
        workload("StatefulSet", "db"),
        workload("DaemonSet", "agent"),
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata("web"),
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": 2, "maxReplicas": 9},
        },
        {
            "apiVersion": istio,
            "kind": "DestinationRule",
            "metadata": metadata("web"),
            "spec": {
                "host": "web",
                "exportTo": ["*"],
                "workloadSelector": {"matchLabels": {"app": "web"}},
                "subsets": [{"name": "v1", "labels": {"version": "v1"}}],
                "trafficPolicy": {
                    "outlierDetection": {"consecutive5xxErrors": 1, "interval": "1s", "maxEjectionPercent": 100},
                    "loadBalancer": {"localityLbSetting": {"failover": [{"from": "r1", "to": "r2"}]}},
                    "portLevelSettings": [
                        {"port": {"number": 80}, "connectionPool": {"http": {"http2MaxRequests": 1}}}
                    ],
                },
            },
        },
        {
            "apiVersion": istio,
            "kind": "VirtualService",
            "metadata": metadata("web"),
            "spec": {
                "hosts": ["web"],
                "gateways": ["mesh"],
                "http": [
                    {
                        "match": [{"uri": {"prefix": "/"}, "sourceNamespace": "shop"}],
                        "headers": {"request": {"set": {"authorization": SECRET}}},
                        "route": [
                            {
                                "destination": {"host": "web", "port": {"number": 80}},
                                "headers": {"response": {"add": {"cookie": SECRET}}},
                            }
                        ],
                        "retries": {"attempts": 3, "perTryTimeout": "1s", "retryOn": "5xx"},
                        "directResponse": {"status": 200, "body": {"string": SECRET}},
                    }
                ],
            },
        },
        {
            "apiVersion": istio,
            "kind": "ServiceEntry",
            "metadata": metadata("out"),
            "spec": {
                "hosts": ["out.example"],
                "ports": [{"number": 443, "name": "tls", "protocol": "TLS", "targetPort": 8443}],
                "resolution": "STATIC",
                "location": "MESH_EXTERNAL",
                "endpoints": [
                    {
                        "address": "192.0.2.1",
                        "locality": "r1/z1",
                        "weight": 3,
                        "network": "n",
                        "labels": {"a": "b"},
                        "ports": {"tls": 9443},
                    }
                ],
            },
        },
        {
            "apiVersion": istio,
            "kind": "ServiceEntry",
            "metadata": metadata("chosen"),
            "spec": {
                "hosts": ["chosen.example"],
                "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
                "resolution": "STATIC",
                "workloadSelector": {"labels": {"app": "web"}},
            },
        },
        {
            "apiVersion": istio,
            "kind": "WorkloadEntry",
            "metadata": metadata("vm"),
            "spec": {"address": "192.0.2.7", "labels": {"app": "web"}, "locality": "r2/z9", "ports": {"http": 81}},
        },
        {
            "apiVersion": istio,
            "kind": "Sidecar",
            "metadata": metadata("web"),
            "spec": {
                "workloadSelector": {"labels": {"app": "web"}},
                "egress": [{"hosts": ["./*"], "port": {"number": 80}}],
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**metadata("leaving"), "deletionTimestamp": "2026-01-02T00:00:00Z"},
            "spec": {"nodeName": "n1", "containers": CONTAINERS},
            "status": {"phase": "Running", "podIP": "10.0.0.9"},
        },
    ]


def special() -> list[Json]:
    """Return objects that are unusual in every way a reader knows: each differs by fields that mostly say nothing."""

    def pod(name: str, spec: Json, status: Json) -> Json:
        status = {"podIP": "10.0.1.1", **status}
        return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata(name), "spec": spec, "status": status}

    def service(name: str, **spec: t.Any) -> Json:
        ports = [{"name": "http", "port": 80}]
        spec = {"selector": {"app": "web"}, "ports": ports, **spec}
        plain = {key: value for key, value in metadata(name).items() if key != "annotations"}
        return {"apiVersion": "v1", "kind": "Service", "metadata": plain, "spec": spec}

    def sliced(name: str, **fields: t.Any) -> Json:
        labels = {"kubernetes.io/service-name": "web"}
        ports = [{"name": "http", "port": 8080}]
        endpoints = [{"addresses": ["10.0.2.1"], "targetRef": {"kind": "Pod", "namespace": "shop", "name": "absent"}}]
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": "shop", "labels": labels},
            "ports": ports,
            "endpoints": endpoints,
            **fields,
        }

    proxy = {"name": "istio-proxy", "args": ["proxy", "router"], "restartPolicy": "Always"}
    quiet = workload("Deployment", "quiet")
    quiet["spec"]["template"] = {
        "metadata": {"labels": {"app": "quiet"}, "annotations": {"sidecar.istio.io/inject": "false"}},
        "spec": {
            "nodeName": "n1",
            "containers": [{"name": "main"}],
            "initContainers": [
                {
                    "name": "side",
                    "restartPolicy": "Always",
                    "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}],
                }
            ],
        },
    }
    on_host = workload("Deployment", "on-host")
    on_host["spec"]["template"]["spec"] = {"hostNetwork": True, "containers": [{"name": "main"}]}
    gateway = pod("gateway", {"initContainers": [proxy], "containers": []}, {})
    gateway["metadata"]["annotations"]["istio.io/rev"] = "new"
    new = pod(
        "new",
        {"hostNetwork": True, "nodeSelector": {"disk": "ssd"}, "initContainers": [proxy], "containers": CONTAINERS},
        {"podIP": ""},
    )
    return [
        pod("ended", {"containers": []}, {"phase": "Succeeded"}),
        pod("unready", {"containers": []}, {"conditions": [{"type": "Ready", "status": "False"}]}),
        pod("dual", {"hostNetwork": True, "containers": []}, {"podIPs": [{"ip": "10.0.1.2"}, {"ip": "fd00::1"}]}),
        gateway,
        new,
        service("headless", clusterIP="None", publishNotReadyAddresses=True),
        service("outside", type="ExternalName", externalName="x.example"),
        service("near", trafficDistribution="PreferSameNode"),
        service("quiet", selector={"app": "quiet"}, ports=[{"port": 53, "targetPort": "dns", "protocol": "UDP"}]),
        service("named", selector={"app": "quiet"}, ports=[{"port": 53, "targetPort": "dns"}]),
        sliced("names", addressType="FQDN", endpoints=[{"addresses": ["x.example"]}]),
        sliced("absent", addressType="IPv4"),
        sliced("vm", endpoints=[{"addresses": ["10.0.2.2"], "targetRef": {"kind": "VM", "name": "x"}}]),
        {"apiVersion": "v1", "kind": "Node", "metadata": metadata("closed", None), "spec": {"unschedulable": True}},
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata("broken", None),
            "status": {"conditions": [{"type": "Ready", "status": "Unknown"}, {"type": "Disk", "status": "True"}]},
        },
        quiet,
        on_host,
    ]


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "*", "~", ".", "..", "a/b", "/", "true", "1", "-1", "99999999999999999999", "web", "shop"]),
)
#: Anything JSON or YAML may have at any place.
GARBAGE = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(
                st.sampled_from(["name", "key", "metadata", "spec", "labels", "from", "to"]), st.text(max_size=4)
            ),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=8,
)


@st.composite
def damaged(draw: st.DrawFn) -> list[t.Any]:
    """Return the samples with some parts replaced by anything, left out or doubled, and with some other values."""
    copied: list[t.Any] = copy.deepcopy(objects())
    for _number in range(draw(st.integers(1, 6))):
        holder: t.Any = copied
        while True:
            places = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not places:
                break
            place = draw(st.sampled_from(places))
            deeper = isinstance(holder[place], (dict, list)) and holder[place]
            if deeper and draw(st.integers(0, 5)):
                holder = holder[place]
                continue
            how = draw(st.integers(0, 6))
            if how == 0:
                del holder[place]
            elif how == 1 and isinstance(holder, list):
                holder.append(holder[place])
            else:
                holder[place] = draw(GARBAGE)
            break
    return copied + draw(st.lists(GARBAGE, max_size=2))
