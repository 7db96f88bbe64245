# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects and fields that change an answer and that lint passed over once."""

from __future__ import annotations

import dataclasses
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._lint.finding import Finding
from ansible_collections.meshops.locality.plugins.module_utils._lint.lint import lint
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import unjudged
from tests.unit.plugins.module_utils._lint.cases import FAR, HOST, even, locality, web, workload
from tests.unit.plugins.module_utils._lint.meshes import REGION, ZONE, Json, findings, istio, mesh, snapshot


def of(ident: str, objects: list[t.Any], **options: t.Any) -> list[Finding]:
    return [finding for finding in findings(objects, **options) if finding.id == ident]


ENTRY = {
    "hosts": ["pay.example.com"],
    "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
    "resolution": "DNS",
    "endpoints": [{"address": f"{number}.pay.example.com"} for number in range(2)],
}


@pytest.mark.parametrize(
    ("kind", "spec", "refused"),
    [
        ("ServiceEntry", ENTRY, False),
        ("ServiceEntry", {**ENTRY, "resolution": "DNS_ROUND_ROBIN"}, True),
        ("ServiceEntry", {**ENTRY, "resolution": "NONE"}, True),
        # It is left out where endpoints are read.
        ("ServiceEntry", {**ENTRY, "hosts": []}, True),
        ("WorkloadEntry", {"address": "10.9.0.1"}, False),
        ("WorkloadEntry", {"address": ""}, True),
    ],
)
def test_each_kind_that_istiod_validates_is_validated(kind: str, spec: Json, refused: bool) -> None:
    findings_of = {finding.object for finding in of("ML901", web(FAR, istio(kind, "pay", "shop", spec)))}
    assert findings_of == ({f"{kind} shop/pay"} if refused else set())


def test_each_of_them_may_carry_a_suppression() -> None:
    annotations = {"meshops.locality/lint-ignore": "ML901: the gateway of old"}
    (finding,) = of("ML901", web(FAR, istio("WorkloadEntry", "pay", "shop", {}, annotations=annotations)))
    assert finding.suppressed == "the gateway of old"


@pytest.mark.parametrize("kind", ["DestinationRule", "ServiceEntry", "WorkloadEntry"])
def test_what_cannot_be_read_is_said_once(kind: str) -> None:
    said = [finding.field for finding in of("ML905", web(FAR, {**istio(kind, "pay", "shop", {}), "spec": 7}))]
    assert said == ["spec"]


def anti_affinity(term: Json) -> Json:
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


OWN, OTHER = {"matchLabels": {"app": "web"}}, {"matchLabels": {"app": "web", "version": "v1"}}


@pytest.mark.parametrize(
    ("placing", "spreads"),
    [
        (even(), True),
        (even(labelSelector={}), True),
        (even(labelSelector=None), False),
        (even(labelSelector=OTHER), False),
        (even(labelSelector={"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}), True),
        (even(labelSelector={"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}), False),
        (even(maxSkew=5), True),
        (even(maxSkew=6), False),
        # A wish counts every difference.
        (even(maxSkew=6, whenUnsatisfiable="ScheduleAnyway"), True),
        (anti_affinity({"topologyKey": ZONE, "labelSelector": OWN}), True),
        (anti_affinity({"topologyKey": ZONE, "labelSelector": OTHER}), False),
        (anti_affinity({"topologyKey": ZONE}), False),
        # What cannot be read matches whatever is left of it.
        (even(labelSelector={"matchLabels": 7}), True),
    ],
)
def test_only_a_constraint_about_the_pods_themselves_spreads_them(placing: Json, spreads: bool) -> None:
    assert bool(of("ML522", web(FAR, workload(6, **placing)))) is not spreads


def scaled(minimum: int) -> Json:
    target = {"kind": "Deployment", "name": "web"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"scaleTargetRef": target, "minReplicas": minimum, "maxReplicas": 9},
    }


@pytest.mark.parametrize(("minimum", "severity"), [(1, "warning"), (2, "info"), (3, "")])
def test_an_autoscaler_that_may_leave_a_zone_without_replicas(minimum: int, severity: str) -> None:
    reported = of("ML522", web(FAR, workload(6, **even()), scaled(minimum)))
    assert [finding.severity for finding in reported] == ([severity] if severity else [])
    for finding in reported:
        assert f"{minimum} replica" in finding.message
        assert finding.fix == "minReplicas: 3 in its HorizontalPodAutoscaler."


def test_an_endpoint_is_one_whatever_order_its_clients_have() -> None:
    places = {"r1/z1/s1": 3, "r1/z2/s2": 3, "r2/z3/s3": 3}
    order = locality(f"{{failoverPriority: [{REGION}, {ZONE}]}}")
    assert not of("ML525", mesh(places, dict.fromkeys(places, "shop"), order))
    (finding,) = of("ML525", mesh({**places, "r1/z1/s1": 1, "r1/z2/s2": 7}, {"r1/z1/s1": "shop"}, order))
    assert "gets 11.0 times the average" in finding.message
    assert "1 of 11 endpoints" in finding.why


def test_without_nodes_nothing_is_green() -> None:
    """A folder of a Git repository seldom has them: whether everything is well there, nobody can say."""
    objects = web(FAR)
    without = [item for item in objects if item["kind"] != "Node"]
    for given, expected in ((objects, []), (without, ["No Node is known here, and no client is in a region."])):
        found_errors = [finding for finding in lint(snapshot(given)) if finding.id == "ML907"]
        assert [finding.message for finding in found_errors] == expected


def test_a_node_without_the_zone_that_others_have() -> None:
    """A misspelt label of a zone: the zone would be gone from every table without a word."""
    objects = web(FAR)
    (first, *_others) = [item for item in objects if item["kind"] == "Node"]
    region = first["metadata"]["labels"][REGION]
    first = {
        **first,
        "metadata": {**first["metadata"], "labels": {REGION: region, "topology.kubernetes.io/zome": "z1"}},
    }
    changed = [first if item["metadata"]["name"] == first["metadata"]["name"] else item for item in objects]
    second = {**first, "metadata": {"name": "second", "labels": {REGION: region, ZONE: "z2"}}}
    messages = [finding.message for finding in lint(snapshot([*changed, second])) if finding.id == "ML501"]
    assert messages == [f"{first['metadata']['name']} has no label {ZONE}; other nodes of {region} have it."]
    assert [finding for finding in lint(snapshot(objects)) if finding.id == "ML501"] == []


def test_a_misspelt_object_is_an_error() -> None:
    """kubectl refuses it, as it does one with a field that does not exist (ML903)."""
    passed_over = [unjudged("object-misspelt", 1, objects="X"), unjudged("no-object", 1, files="f")]
    mesh_with = dataclasses.replace(snapshot(web(FAR)), not_judged=tuple(passed_over))
    reported = {finding.object: finding.severity for finding in lint(mesh_with) if finding.id == "ML906"}
    assert reported == {"(object-misspelt)": "error", "(no-object)": "warning"}


@pytest.mark.parametrize(
    ("host", "named"),
    [
        ("web.shop.svc.clusterset.local", "web.shop.svc.clusterset.local"),
        ("cart.shop.svc.cluster.local", "cart.shop"),
    ],
)
def test_a_host_of_another_domain_is_named_in_full(host: str, named: str) -> None:
    route = {"hosts": [HOST], "http": [{"route": [{"destination": {"host": host}}]}]}
    (finding,) = of("ML230", web(FAR, istio("VirtualService", "web", "shop", route)))
    assert finding.message.startswith(f"The route leads to {named}, and no Service")
