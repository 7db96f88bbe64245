# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods with an Istio sidecar, and what their Envoy's admin interface says.

`pilot-agent request` is used instead of curl: it is in every proxy image, also in the distroless one.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import calendar
import json
import threading
import time
import typing as t
from dataclasses import dataclass
from difflib import get_close_matches
from urllib.parse import quote

from ansible_collections.meshops.locality.plugins.module_utils._envoy.admin_interface import (
    ClusterName,
    EnvoyEndpoint,
    parse_clusters,
)
from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    ClusterError,
    Forbidden,
    InvalidInput,
    LocalityError,
    NotFound,
    NotReady,
    Unauthorized,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import (
    pod_client_locality,
    pod_locality,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import DEFAULT, semantics
from ansible_collections.meshops.locality.plugins.module_utils._kube.drain_note import DRAIN_ANNOTATION, DrainNote
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import run
from ansible_collections.meshops.locality.plugins.module_utils._kube.istiod_version import semantics_for
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NAMESPACE, NODE, POD
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import LOCALITY_LABEL, Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.sidecar_injection import (
    PROXY_CONTAINER,
    proxy_container,
)

if t.TYPE_CHECKING:
    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]

PROXY = PROXY_CONTAINER
BACK_OFF_FIRST, BACK_OFF_MOST = 10.0, 300.0


@dataclass(frozen=True)
class Proxy:
    """A pod as a member of the mesh. `kind` is `native`, `classic` or, without a sidecar, empty."""

    namespace: str
    pod: str
    uid: str
    node: str
    address: str
    labels: t.Mapping[str, str]
    revision: str
    kind: str
    ready: bool
    restarts: int
    app_restarts: t.Mapping[str, int]
    restart_policy: str
    containers: tuple[str, ...]
    default_container: str
    #: The first TCP port that its applications declare.
    port: int | None
    #: The last run of its istio-proxy ended with exit code 0, as it does after /quitquitquit.
    ended_well: bool
    problem: str
    #: "Job/name" of what made the pod; empty for a pod that somebody made by hand.
    owner: str = ""
    #: Seconds that kubelet would wait at most before it starts its istio-proxy again, were it ended now.
    back_off: float = 0.0
    #: What listener_drain wrote down before it drained this sidecar (_kube/drain_note.py); empty without.
    drain_annotation: str = ""

    @property
    def where(self) -> str:
        """`namespace/pod`, as messages name it."""
        return f"{self.namespace}/{self.pod}"

    @property
    def identity(self) -> tuple[str, str, str]:
        """What no other pod has, also not its successor of the same name."""
        return self.namespace, self.pod, self.uid

    @property
    def drain_note(self) -> DrainNote | None:
        """What is written on the pod about a drain of the process that runs now."""
        note = DrainNote.parse(self.drain_annotation)
        return note if note and note.restarts == self.restarts else None

    @property
    def drains_gracefully(self) -> bool:
        """Whether a graceful drain was sent to the process that runs now."""
        return self.drain_note is not None and self.drain_note.graceful

    @property
    def not_started_again(self) -> str:
        """Why the sidecar would not be started again once it is ended; empty when it would."""
        if self.kind == "classic" and self.restart_policy != "Always":
            return (
                f"Its sidecar is an ordinary container and the pod's restartPolicy is {self.restart_policy}: once ended"
                " it would not be started again, and a drain cannot be undone otherwise."
            )
        return ""

    def not_undone(self, seconds: float, option: str) -> tuple[str, str]:
        """Return why a drain could not be undone within the seconds of an option, and what to do; empty if it could."""
        why, do = self.not_started_again, "Choose other pods."
        if self.owner.startswith("Job/"):
            why = f"It belongs to {self.owner}: it may end while it is drained, with its work undone."
        elif not why and self.back_off > seconds:
            return starts_late(PROXY, self.restarts, self.back_off, seconds, option)
        return why, do if why else ""

    @classmethod
    def of(cls, pod: Json) -> Proxy:
        """Read a Pod object. `problem` says why its Envoy cannot be asked, or is empty."""
        metadata, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
        envoy = proxy_container(spec)
        kind = envoy.kind if envoy else ""
        states = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
        own: Json = next((state for state in states if state["name"] == PROXY), {})
        annotations = metadata.get("annotations") or {}
        apps = tuple(c["name"] for c in spec.get("containers") or () if c["name"] != PROXY)
        return cls(
            namespace=metadata["namespace"],
            pod=metadata["name"],
            uid=metadata.get("uid", ""),
            node=spec.get("nodeName") or "",
            address=status.get("podIP") or "",
            labels=metadata.get("labels") or {},
            revision=_revision(annotations.get("sidecar.istio.io/status"))
            or (metadata.get("labels") or {}).get("istio.io/rev", ""),
            kind=kind,
            ready=bool(own.get("ready")),
            restarts=int(own.get("restartCount") or 0),
            app_restarts={
                state["name"]: int(state.get("restartCount") or 0)
                for state in status.get("containerStatuses") or ()
                if state["name"] != PROXY
            },
            restart_policy=spec.get("restartPolicy") or "Always",
            containers=apps,
            default_container=annotations.get("kubectl.kubernetes.io/default-container") or (apps[0] if apps else ""),
            port=_first_port(spec),
            ended_well=_ended_well(own),
            problem=_problem(metadata, spec, status, kind, own),
            owner=_owner(metadata),
            back_off=restart_back_off(own),
            drain_annotation=annotations.get(DRAIN_ANNOTATION) or "",
        )


def _owner(metadata: Json) -> str:
    owners = [owner for owner in metadata.get("ownerReferences") or () if owner.get("controller")]
    return f"{owners[0].get('kind')}/{owners[0].get('name')}" if owners else ""


def starts_late(container: str, restarts: int, back_off: float, seconds: float, option: str) -> tuple[str, str]:
    """Return that kubelet might start a container later than within the seconds of an option, and what to do."""
    why = f"Its {container} has restarted {restarts} times, lately: kubelet might wait {back_off:.0f} seconds before it"
    do = f"Wait until it has run for 10 minutes, recreate the pod, or give a longer {option}."
    return f"{why} starts it again, and {option} is {seconds:g}.", do


def restart_back_off(own: Json) -> float:
    """Return kubelet's pause before the next start: 10 s, doubled with every restart, at most 5 minutes; forgotten when
    the container has run for 10 minutes. The first restart is at once.

    Source: Kubernetes 1.35 pkg/kubelet/kuberuntime (doBackOff), pkg/kubelet/kubelet.go (MaxContainerBackOff).
    """
    restarts = int(own.get("restartCount") or 0)
    started = ((own.get("state") or {}).get("running") or {}).get("startedAt")
    if not restarts or not started:
        return 0.0
    try:
        runs = time.time() - calendar.timegm(time.strptime(started, "%Y-%m-%dT%H:%M:%SZ"))
    except ValueError:
        return 0.0
    if runs > 2 * BACK_OFF_MOST:
        return 0.0
    return min(BACK_OFF_MOST, BACK_OFF_FIRST * 2.0 ** min(restarts - 1, 10))


def _revision(annotation: str | None) -> str:
    try:
        return str((json.loads(annotation or "{}") or {}).get("revision") or "")
    except (ValueError, AttributeError):
        return ""


def _first_port(spec: Json) -> int | None:
    ports = [port for c in spec.get("containers") or () if c["name"] != PROXY for port in c.get("ports") or ()]
    return next((int(port["containerPort"]) for port in ports if port.get("protocol", "TCP") == "TCP"), None)


def _ended_well(own: Json) -> bool:
    ends = [(own.get(key) or {}).get("terminated") for key in ("state", "lastState")]
    return next((end.get("exitCode") == 0 for end in ends if end), False)


def _problem(metadata: Json, spec: Json, status: Json, kind: str, own: Json) -> str:
    if metadata.get("deletionTimestamp"):
        return "The pod is being deleted."
    phase = status.get("phase", "")
    if phase in ("Succeeded", "Failed"):
        return f"The pod has ended ({phase})."
    if not kind:
        return (
            "The pod has no Istio sidecar (container istio-proxy): label its namespace istio-injection=enabled"
            " (or istio.io/rev) and recreate the pod."
        )
    if not spec.get("nodeName"):
        return "The pod is not scheduled to a node."
    state = own.get("state") or {}
    if "running" not in state:
        waiting = state.get("waiting") or state.get("terminated") or {}
        reason = waiting.get("reason") or "not started yet"
        message = f": {waiting['message']}" if waiting.get("message") else ""
        return f"Its istio-proxy container does not run ({reason}{message})."
    return ""


def read_proxies(
    cluster: Cluster, namespace: str | None, pods: t.Sequence[str] | None = None, label_selector: str | None = None
) -> list[Proxy]:
    """Return the pods with the given names, or those that a selector matches (ended and deleted ones left out), by
    namespace and name. `namespace` None: of all namespaces, which only what restores asks for.

    Raises NotFound when the namespace or a named pod does not exist, or when the selector matches nothing.
    """
    listed = cluster.list(POD, namespace, labels=None if pods else label_selector)
    if pods and namespace is not None:
        by_name = {pod["metadata"]["name"]: pod for pod in listed}
        if missing := [name for name in pods if name not in by_name]:
            near = get_close_matches(missing[0], list(by_name), n=3, cutoff=0.5)
            raise _no_pod(cluster, namespace, f"Pod {missing[0]} does not exist in namespace {namespace}.", near)
        return [Proxy.of(by_name[name]) for name in dict.fromkeys(pods)]
    living = [
        pod
        for pod in listed
        if not pod["metadata"].get("deletionTimestamp")
        and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    ]
    if not living:
        where = f"namespace {namespace}" if namespace is not None else "any namespace"
        what = f"No running pod in {where} matches the label selector {label_selector}."
        if label_selector is None:
            what = f"There is no running pod in {where}."
        raise _no_pod(cluster, namespace, what, [])
    return sorted((Proxy.of(pod) for pod in living), key=lambda proxy: (proxy.namespace, proxy.pod))


def _no_pod(cluster: Cluster, namespace: str | None, what: str, near: list[str]) -> NotFound:
    try:
        known = namespace is None or cluster.get(NAMESPACE, namespace) is not None
    except Forbidden:
        known = True
    if not known:
        return NotFound(f"Namespace {namespace} does not exist.", do="Check the option namespace.", status=404)
    return NotFound(
        what, do=f"Did you mean {', '.join(near)}?" if near else "Check the pods' names and labels.", status=404
    )


def admin(
    cluster: Cluster,
    proxy: Proxy,
    path: str,
    *,
    method: str = "GET",
    seconds: float = 30,
    repeat: bool | None = None,
) -> str:
    """Return the answer of the proxy's admin interface to `path` (without the first slash).

    `repeat`: it may be asked twice, see _kube/exec.py; without a word, only a GET may.
    Raises NotReady when its Envoy does not answer, ClusterError when the pod cannot be entered.
    """
    try:
        words = ["pilot-agent", "request", method, path]
        twice = method == "GET" if repeat is None else repeat
        done = run(cluster, proxy.namespace, proxy.pod, PROXY, words, seconds=seconds, repeat=twice)
    except (Forbidden, Unauthorized):
        raise
    except ClusterError as error:
        raise NotReady(f"istio-proxy of pod {proxy.where} cannot be asked: {error.what}") from error
    if done.code:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise NotReady(
            f"Envoy in pod {proxy.where} does not answer {method} /{path.partition('?')[0]}:"
            f" {said[-1] if said else done.code}",
            do="See the log of its container istio-proxy.",
        )
    return done.stdout


def read_endpoints(cluster: Cluster, proxy: Proxy, pattern: str = "") -> list[EnvoyEndpoint]:
    """Return what the proxy's `/clusters` holds; `pattern` (RE2) spares work, Envoys before 1.38 ignore it."""
    path = "clusters?format=json"
    if pattern:
        path += "&filter=" + quote(pattern, safe="")
    return parse_clusters(admin(cluster, proxy, path))


def read_node_labels(cluster: Cluster) -> dict[str, dict[str, str]]:
    """Return every node's labels; none when nodes may not be listed (they belong to the cluster, not to a
    namespace).
    """
    try:
        return {node["metadata"]["name"]: node["metadata"].get("labels") or {} for node in cluster.list(NODE)}
    except Forbidden:
        return {}


class PodIndex:
    """Which pod is behind an IP, and where istiod places it, by the labels that pods and nodes have now.

    Namespaces that may not be read are in `unreadable`: their pods are not known. `note` says what had to be assumed
    about istiod's version ('' for nothing).
    """

    ALL_NAMESPACES_FROM = 6

    def __init__(self, cluster: Cluster, namespaces: t.Iterable[str]) -> None:
        self.nodes = read_node_labels(cluster)
        self.unreadable: list[str] = []
        self.note = ""
        self._cluster = cluster
        self._lock = threading.Lock()
        self._covered: set[str] = set()
        self._by_ip: dict[str, Proxy] = {}
        self._by_name: dict[str, Proxy] = {}
        self._semantics = semantics(DEFAULT)
        self.cover(namespaces)

    def cover(self, namespaces: t.Iterable[str]) -> None:
        """Read the pods of these namespaces, too; from the sixth namespace on those of all."""
        with self._lock:
            new = set(namespaces) - self._covered
            if not new or len(self._covered) >= self.ALL_NAMESPACES_FROM:
                return
            self._covered |= new
            wanted = [None] if len(self._covered) >= self.ALL_NAMESPACES_FROM else sorted(new)
            read = self._cluster.map(self._take_pods, wanted)
            self.unreadable += [name or "(all)" for name, pods in zip(wanted, read, strict=True) if pods is None]
            placed = [
                pod for pods in read for pod in pods or () if LOCALITY_LABEL in (pod["metadata"].get("labels") or {})
            ]
            if placed:
                self._semantics, self.note = semantics_for(self._cluster, placed)

    def _take_pods(self, namespace: str | None) -> list[Json] | None:
        """Index the pods; return the metadata that says who places them, None when they may not be listed."""
        try:
            return self._cluster.each(POD, self._take, namespace, lean=True)
        except Forbidden:
            return None

    def _take(self, pod: Json) -> Json:
        status = pod.get("status") or {}
        if (pod.get("spec") or {}).get("hostNetwork") or status.get("phase") in ("Succeeded", "Failed"):
            return {"metadata": {}}
        proxy = Proxy.of(pod)
        self._by_name[proxy.pod] = proxy
        for given in status.get("podIPs") or ([{"ip": proxy.address}] if proxy.address else []):
            self._by_ip[given["ip"]] = proxy
        return {"metadata": {key: pod["metadata"].get(key) for key in ("namespace", "name", "labels")}}

    def behind(self, ip: str) -> Proxy | None:
        """Return the pod with this IP."""
        return self._by_ip.get(ip)

    def named(self, pod: str) -> Proxy | None:
        """Return the pod with this name (its host name is the same unless the pod sets another)."""
        return self._by_name.get(pod)

    def locality(self, proxy: Proxy) -> Locality:
        """Return where istiod places a pod as an endpoint."""
        return Locality.parse(self._locality(proxy))

    def client_locality(self, proxy: Proxy) -> Locality:
        """Return where istiod places a pod as a client."""
        return pod_client_locality(proxy.labels, self.nodes.get(proxy.node), self._semantics)

    def _locality(self, proxy: Proxy) -> str:
        return pod_locality(proxy.labels, self.nodes.get(proxy.node), self._semantics)


def namespaces_of(endpoints: t.Iterable[EnvoyEndpoint]) -> set[str]:
    """Return the namespaces that the Kubernetes Services behind these endpoints live in."""
    return {
        labels[1]
        for endpoint in endpoints
        if endpoint.name.direction == "outbound"
        for labels in [endpoint.name.host.split(".")]
        if len(labels) > 3 and labels[2] == "svc"
    }


def no_cluster(host: str, port: int | None, subset: str | None, endpoints: t.Sequence[EnvoyEndpoint]) -> LocalityError:
    """Return the error for a host that a proxy has no endpoint for, with the names that come near."""
    names = {ClusterName.parse(name) for name in {endpoint.cluster for endpoint in endpoints}}
    outbound = sorted({f"{name.host}:{name.port}" for name in names if name.direction == "outbound"})
    wanted = f"{host}:{port}" if port else host
    first = sorted({entry.partition(".")[0] for entry in outbound})
    alike = get_close_matches(host.partition(".")[0], first, n=2, cutoff=0.7)
    near = [entry for entry in outbound if entry.partition(".")[0] in alike][:4]
    near = near or get_close_matches(wanted, outbound, n=3, cutoff=0.5)
    asked = f"host {host}" + (f", port {port}" if port else "") + (f", subset {subset}" if subset else "")
    return InvalidInput(
        f"Envoy holds no endpoint for {asked}.",
        do=f"Near: {', '.join(dict.fromkeys(near))}."
        if near
        else "Check the name, the port and that the Service has endpoints.",
    )
