# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests on top of a saved snapshot."""

from __future__ import annotations

import copy
import json
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_document import SnapshotDocument
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import relevant_fields
from ansible_collections.meshops.locality.plugins.module_utils._module import topology_info
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import WantedControlPlane
from ansible_collections.meshops.locality.plugins.module_utils._source.manifests import Manifests
from tests.unit.plugins.module_utils.samples import objects, workload

Json = dict[str, t.Any]


def saved() -> SnapshotDocument:
    """A snapshot that went through a file."""
    document = SnapshotDocument(taken="then", items=tuple(map(relevant_fields, objects())))
    return snapshot_document.read(json.loads(json.dumps(snapshot_document.write(document))))


def on_top(base: SnapshotDocument, given: t.Sequence[Json]) -> SnapshotDocument:
    """The same with manifests on top of it."""
    more = Manifests(snapshot=base, objects=list(map(relevant_fields, given)))
    return topology_info.assembled(None, more, WantedControlPlane(), "now")


def changed(kind: str, spec: Json, name: str = "") -> Json:
    item = copy.deepcopy(next(sample for sample in objects() if sample["kind"] == kind))
    item["spec"] = spec
    item["metadata"]["name"] = name or item["metadata"]["name"]
    return item


def test_what_is_not_named_stays() -> None:
    document = saved()
    base = document.snapshot
    rule = changed("DestinationRule", {"host": "web"})
    result = on_top(document, [rule]).snapshot
    assert result.destination_rules[0].spec == {"host": "web"}
    assert (result.services, result.pods, result.nodes) == (base.services, base.pods, base.nodes)
    assert (result.workloads, result.virtual_services, result.taken) == (base.workloads, base.virtual_services, "then")
    more = on_top(document, [changed("DestinationRule", {"host": "web"}, "second")])
    assert [str(written) for written in more.snapshot.destination_rules] == ["shop/second", "shop/web"]


def test_a_service_that_is_replaced_keeps_its_endpoints_while_it_selects_the_same() -> None:
    base = saved()
    before = next(service for service in base.snapshot.services if service.host.startswith("web."))
    ports = next(item for item in objects() if item["kind"] == "Service")["spec"]["ports"]
    same = changed("Service", {"selector": {"app": "web"}, "ports": ports, "trafficDistribution": "PreferSameNode"})
    after = next(service for service in on_top(base, [same]).snapshot.services if service.host.startswith("web."))
    assert (after.traffic_distribution, after.endpoints) == ("PreferSameNode", before.endpoints)
    other = changed("Service", {"selector": {"app": "nobody"}, "ports": ports})
    after = next(service for service in on_top(base, [other]).snapshot.services if service.host.startswith("web."))
    assert after.endpoints == ()


def test_a_new_workload_gets_pods_on_the_saved_nodes_behind_the_saved_services() -> None:
    base = saved()
    more = workload("Deployment", "more")
    more["spec"]["template"]["spec"]["affinity"].pop("podAntiAffinity")
    result = on_top(base, [more])
    new = [pod for pod in result.snapshot.pods if pod.assumed]
    assert [(pod.key, pod.node, pod.proxy) for pod in new] == [
        ("shop/more-assumed-0", "n1", "sidecar"),
        ("shop/more-assumed-1", "n1", "sidecar"),
    ]
    before = next(service for service in base.snapshot.services if service.host.startswith("web."))
    after = next(service for service in result.snapshot.services if service.host.startswith("web."))
    assert all(endpoint in after.endpoints for endpoint in before.endpoints)
    added = [endpoint for endpoint in after.endpoints if endpoint not in before.endpoints]
    assert {entry.pod for entry in added} == {pod.key for pod in new}
    assert added[0].ports[0] == ("http", 8080), "the target port that the containers give the name www"
    # Once more on top of the result: other addresses, nothing lost.
    again = on_top(result, [workload("Deployment", "web")])
    addresses = [address for pod in again.snapshot.pods for address in pod.addresses]
    assert len(addresses) == len(set(addresses))
