# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a pod gets a sidecar, and why it has none: the injector's webhooks, read as the API server reads them.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import MAPPING
from ansible_collections.meshops.locality.plugins.module_utils._model.label_selector import selector_matches

Json = t.Mapping[str, t.Any]
Labels = t.Mapping[str, str]

#: Annotations of pods that keep connections of their own away from their Envoy → the values with which they do not.
PAST_ENVOY: t.Mapping[str, tuple[str, ...]] = {
    "traffic.sidecar.istio.io/excludeOutboundPorts": ("",),
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": ("",),
    "traffic.sidecar.istio.io/includeOutboundIPRanges": ("*",),
    "sidecar.istio.io/interceptionMode": ("", "REDIRECT", "TPROXY"),
}

#: Annotations of pods about the readiness probe of the injected sidecar: port (0: no probe), period, failures.
PROBE_ANNOTATIONS = (
    "status.sidecar.istio.io/port",
    "readiness.status.sidecar.istio.io/periodSeconds",
    "readiness.status.sidecar.istio.io/failureThreshold",
)

PROXY_CONTAINER = "istio-proxy"
INJECT = "sidecar.istio.io/inject"
NAMESPACE_LABEL = "istio-injection"
REVISION_LABEL = "istio.io/rev"


@dataclass(frozen=True)
class Webhook:
    """One webhook of an injector. `service` is (namespace, name) of the istiod behind it, None for a plain URL."""

    configuration: str
    revision: str
    namespace_selector: Json
    object_selector: Json
    service: tuple[str, str] | None = None

    def matches(self, namespace: Labels, pod: Labels) -> bool:
        return selector_matches(self.namespace_selector, namespace) and selector_matches(self.object_selector, pod)


def injectors(configurations: t.Sequence[Json]) -> list[Webhook]:
    """Return the sidecar injector's webhooks among all MutatingWebhookConfigurations."""
    webhooks = []
    for configuration in configurations:
        metadata = configuration["metadata"]
        labels = metadata.get("labels") or {}
        for webhook in configuration.get("webhooks") or []:
            if not webhook["name"].endswith("sidecar-injector.istio.io"):
                continue
            service = (webhook.get("clientConfig") or {}).get("service")
            webhooks.append(
                Webhook(
                    metadata["name"],
                    labels.get("istio.io/tag") or labels.get(REVISION_LABEL) or "default",
                    webhook.get("namespaceSelector") or {},
                    webhook.get("objectSelector") or {},
                    (service["namespace"], service["name"]) if service else None,
                )
            )
    return webhooks


def injector_for(webhooks: t.Sequence[Webhook], namespace: Labels, pod: Labels) -> Webhook | None:
    """Return the webhook that puts a sidecar into such a pod of such a namespace."""
    return next((webhook for webhook in webhooks if webhook.matches(namespace, pod)), None)


def injection_labels(revision: str | None) -> dict[str, str]:
    """Return the labels of a namespace whose pods shall get a sidecar (of one revision)."""
    return {REVISION_LABEL: revision} if revision else {NAMESPACE_LABEL: "enabled"}


def injection_obstacle(webhooks: t.Sequence[Webhook], namespace: Labels) -> str:
    """Return why pods without labels of their own get no sidecar in a namespace with these labels; '' when they do."""
    if not webhooks:
        return (
            "There is no sidecar injector: no MutatingWebhookConfiguration has a webhook of sidecar-injector.istio.io."
        )
    own, revision = namespace.get(NAMESPACE_LABEL), namespace.get(REVISION_LABEL)
    if webhook := injector_for(webhooks, namespace, {}):
        if own is not None and revision not in (None, webhook.revision):
            return (
                f"The label {NAMESPACE_LABEL}={own} of the namespace wins over {REVISION_LABEL}={revision}: the "
                f"sidecars would be of revision {webhook.revision}. Remove one of the two labels."
            )
        return ""
    if own == "disabled":
        return (
            f"The label {NAMESPACE_LABEL}=disabled of the namespace keeps sidecars out, whatever {REVISION_LABEL} says."
        )
    revisions = ", ".join(sorted({webhook.revision for webhook in webhooks}))
    if revision is not None:
        return f"No injector answers for {REVISION_LABEL}={revision}; installed are the revisions {revisions}."
    if own is not None:
        return (
            f"No injector answers for {NAMESPACE_LABEL}={own}; installed are the revisions {revisions}, use "
            f"{REVISION_LABEL}."
        )
    return (
        f"The namespace has neither the label {NAMESPACE_LABEL}=enabled nor {REVISION_LABEL} (installed: {revisions})."
    )


def wanted_labels(namespace: Labels, revision: str | None) -> dict[str, str]:
    """Return the labels of the namespace once injection is switched on; one that asks for it already stays as it is."""
    asks = revision is None and (NAMESPACE_LABEL in namespace or REVISION_LABEL in namespace)
    return dict(namespace) if asks else {**namespace, **injection_labels(revision)}


class ProxyContainer(t.NamedTuple):
    """Envoy's container of a pod. `kind` is `classic` (a container) or `native` (an init container that goes on)."""

    kind: str
    container: Json


def proxy_container(pod_spec: t.Any) -> ProxyContainer | None:
    """Return the container istio-proxy of a Pod's spec; None when the pod has no Envoy.

    An init container is one only with restartPolicy Always: another one ends before the applications start.
    Whatever is malformed is passed over. Source: Kubernetes documentation, "Sidecar Containers".
    """
    for kind, field in (("classic", "containers"), ("native", "initContainers")):
        containers = pod_spec.get(field) if isinstance(pod_spec, MAPPING) else None
        for container in containers if isinstance(containers, (list, tuple)) else ():
            if not isinstance(container, MAPPING) or container.get("name") != PROXY_CONTAINER:
                continue
            if kind == "classic" or container.get("restartPolicy") == "Always":
                return ProxyContainer(kind, container)
    return None


def argument(container: Json, name: str) -> str:
    """Return the value of a container's argument `--name value` or `--name=value`; '' without it."""
    given = container.get("args")
    args = [item for item in given if isinstance(item, str)] if isinstance(given, (list, tuple)) else []
    for item, following in zip(args, [*args, ""][1:], strict=True):
        if item == name:
            return following
        if item.startswith(f"{name}="):
            return item.partition("=")[2]
    return ""


def cluster_domain(pods: t.Iterable[Json]) -> str:
    """Return the domain of Services as the first sidecar among Pod objects was given it; '' without any.

    Source: istio 1.31 manifests/charts/istio-control/istio-discovery/files/injection-template.yaml,
    `--domain $(POD_NAMESPACE).svc.` and global.proxy.clusterDomain.
    """
    proxies = [proxy for pod in pods if (proxy := proxy_container(pod.get("spec")))]
    return next(
        (domain for proxy in proxies if (domain := argument(proxy.container, "--domain").partition(".svc.")[2])), ""
    )


def missing_sidecar(pod: Json, webhooks: t.Sequence[Webhook], namespace: Labels) -> str:
    """Return why this pod, which has no sidecar, has none, and what to do."""
    metadata = pod["metadata"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if pod["spec"].get("hostNetwork"):
        return "No sidecar: the pod uses hostNetwork, where Istio never injects one."
    for kind, own in (("label", labels), ("annotation", annotations)):
        if own.get(INJECT) == "false":
            return f"No sidecar: the pod has the {kind} {INJECT}=false. Remove it from the template."
    if not injector_for(webhooks, namespace, labels):
        return (
            "No sidecar: "
            f"{injection_obstacle(webhooks, namespace) or 'the labels of the pod keep every injector away.'}"
        )
    return (
        "No sidecar, though a pod made now would get one: it is older than the label of the namespace or than the "
        "injector. Restart its workload (kubectl rollout restart)."
    )
