# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._model.sidecar_injection import (
    ProxyContainer,
    cluster_domain,
    injection_obstacle,
    injector_for,
    injectors,
    missing_sidecar,
    proxy_container,
    wanted_labels,
)

Json = dict[str, t.Any]

NOT_FALSE = {"key": "sidecar.istio.io/inject", "operator": "NotIn", "values": ["false"]}


def configuration(revision: str, tag: str | None = None) -> Json:
    """An injector as istioctl 1.31 installs it for a revision (or a tag of it), reduced to what counts."""
    name = tag or revision

    def webhook(kind: str, namespace: list[Json], pod: list[Json]) -> Json:
        return {
            "name": f"{kind}.sidecar-injector.istio.io",
            "clientConfig": {"service": {"namespace": "istio-system", "name": "istiod"}},
            "namespaceSelector": {"matchExpressions": namespace},
            "objectSelector": {"matchExpressions": pod},
        }

    no_switch = {"key": "istio-injection", "operator": "DoesNotExist"}
    no_revision = {"key": "istio.io/rev", "operator": "DoesNotExist"}
    here = {"key": "istio.io/rev", "operator": "In", "values": [name]}
    webhooks = [
        webhook("rev.namespace", [here, no_switch], [NOT_FALSE]),
        webhook("rev.object", [no_revision, no_switch], [NOT_FALSE, here]),
    ]
    if name == "default":
        enabled = {"key": "istio-injection", "operator": "In", "values": ["enabled"]}
        asked = {"key": "sidecar.istio.io/inject", "operator": "In", "values": ["true"]}
        webhooks += [webhook("namespace", [enabled], [NOT_FALSE]), webhook("object", [no_switch, no_revision], [asked])]
    labels = {"istio.io/rev": revision, **({"istio.io/tag": tag} if tag else {})}
    return {"metadata": {"name": f"injector-{name}", "labels": labels}, "webhooks": webhooks}


OTHER = {"metadata": {"name": "other"}, "webhooks": [{"name": "mutate.example.com"}]}
DEFAULT = injectors([OTHER, configuration("default")])
CANARY = injectors([configuration("1-31"), configuration("1-31", "prod")])


def test_only_injectors_count() -> None:
    assert injectors([OTHER]) == []
    assert {webhook.revision for webhook in CANARY} == {"1-31", "prod"}
    assert DEFAULT[0].service == ("istio-system", "istiod")


@pytest.mark.parametrize(
    ("namespace", "pod", "injected"),
    [
        ({}, {}, False),
        ({"istio-injection": "enabled"}, {}, True),
        ({"istio-injection": "enabled"}, {"sidecar.istio.io/inject": "false"}, False),
        ({"istio-injection": "disabled"}, {"sidecar.istio.io/inject": "true"}, False),
        ({"istio.io/rev": "default"}, {}, True),
        ({"istio.io/rev": "other"}, {}, False),
        ({}, {"sidecar.istio.io/inject": "true"}, True),
        ({}, {"istio.io/rev": "default"}, True),
    ],
)
def test_default_injector(namespace: dict[str, str], pod: dict[str, str], injected: bool) -> None:
    assert (injector_for(DEFAULT, namespace, pod) is not None) is injected


@pytest.mark.parametrize(
    ("webhooks", "namespace", "message"),
    [
        ([], {"istio-injection": "enabled"}, "There is no sidecar injector"),
        (DEFAULT, {"istio-injection": "enabled"}, ""),
        (DEFAULT, {}, "neither the label istio-injection=enabled nor istio.io/rev (installed: default)"),
        (
            DEFAULT,
            {"istio-injection": "disabled", "istio.io/rev": "default"},
            "istio-injection=disabled of the namespace",
        ),
        (DEFAULT, {"istio.io/rev": "x"}, "No injector answers for istio.io/rev=x; installed are the revisions default"),
        (DEFAULT, {"istio-injection": "enabled", "istio.io/rev": "x"}, "wins over istio.io/rev=x: the sidecars would"),
        (CANARY, {"istio.io/rev": "prod"}, ""),
        (CANARY, {"istio-injection": "enabled"}, "No injector answers for istio-injection=enabled; installed are"),
    ],
)
def test_obstacles(webhooks: t.Any, namespace: dict[str, str], message: str) -> None:
    said = injection_obstacle(webhooks, namespace)
    assert message in said
    assert bool(said) is bool(message)


def test_wanted_labels_leave_a_decision_alone() -> None:
    assert wanted_labels({}, None) == {"istio-injection": "enabled"}
    assert wanted_labels({}, "1-31") == {"istio.io/rev": "1-31"}
    for decided in ({"istio-injection": "disabled"}, {"istio.io/rev": "1-30"}):
        assert wanted_labels(decided, None) == decided
    assert wanted_labels({"istio.io/rev": "1-30"}, "1-31") == {"istio.io/rev": "1-31"}


def pod(spec: Json | None = None, **metadata: t.Any) -> Json:
    return {"metadata": metadata, "spec": {"containers": [{"name": "main"}], **(spec or {})}}


def test_native_and_classic_sidecars() -> None:
    assert proxy_container({"containers": [{"name": "main"}]}) is None
    classic = {"name": "istio-proxy"}
    assert proxy_container({"containers": [{"name": "main"}, classic]}) == ProxyContainer("classic", classic)
    native = {"name": "istio-proxy", "restartPolicy": "Always"}
    assert proxy_container({"initContainers": [native]}) == ProxyContainer("native", native)


@pytest.mark.parametrize(
    "spec",
    [
        {"initContainers": [{"name": "istio-proxy"}]},
        {"containers": "istio-proxy", "initContainers": [None, "istio-proxy", {}]},
        None,
        [],
    ],
)
def test_what_ends_before_the_applications_or_is_malformed_is_no_sidecar(spec: t.Any) -> None:
    assert proxy_container(spec) is None


@pytest.mark.parametrize(
    ("item", "namespace", "message"),
    [
        (pod({"hostNetwork": True}), {"istio-injection": "enabled"}, "uses hostNetwork"),
        (pod(labels={"sidecar.istio.io/inject": "false"}), {}, "the label sidecar.istio.io/inject=false"),
        (pod(annotations={"sidecar.istio.io/inject": "false"}), {}, "the annotation sidecar.istio.io/inject=false"),
        (pod(), {}, "The namespace has neither"),
        (pod(), {"istio-injection": "enabled"}, "Restart its workload"),
    ],
)
def test_why_a_sidecar_is_missing(item: Json, namespace: dict[str, str], message: str) -> None:
    assert missing_sidecar(item, DEFAULT, namespace).startswith("No sidecar")
    assert message in missing_sidecar(item, DEFAULT, namespace)


@pytest.mark.parametrize(
    ("args", "domain"),
    [
        (["proxy", "--domain", "$(POD_NAMESPACE).svc.corp.local"], "corp.local"),
        (["--domain=ns.svc.corp.local"], "corp.local"),
        (["--domain"], ""),
        ([], ""),
        (None, ""),
    ],
)
def test_the_domain_of_a_sidecar_whatever_its_arguments_are(args: t.Any, domain: str) -> None:
    assert cluster_domain([{"spec": {"containers": [{"name": "istio-proxy", "args": args}]}}]) == domain
