# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every write names the very object that was judged; what somebody changes in between is judged again."""

from __future__ import annotations

import copy
import json
import time
import types
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill import journal
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import (
    CLOSED,
    GONE,
    RESTORED,
    JournalRecord,
    Target,
)
from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, NotReady, Unreachable
from ansible_collections.meshops.locality.plugins.module_utils._kube import (
    drill_fault_eviction,
    drill_fault_in_network,
    drill_fault_in_service,
    drill_fault_node_loss,
    drill_journal,
    drill_probe_pods,
    istiod_notification,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    CONFIG_MAP,
    ENDPOINT_SLICE,
    NETWORK_POLICY,
    NODE,
    POD,
    SERVICE,
    Kind,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.node_topology import node_topology
from tests.unit.plugins.module_utils.cluster_in_memory import ClusterInMemory, module, owned

Json = dict[str, t.Any]
DRILL = "d-1"
LABELS = {"labels": {"meshops.locality/probe-of": DRILL, drill_fault_in_network.LABEL: DRILL}}
SLICE: Json = {
    "metadata": {"name": "web-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
    "endpoints": [{"nodeName": "n1"}],
}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(istiod_notification, "HEAD_START", 0)
    monkeypatch.setattr(drill_fault_in_service, "SETTLE_SECONDS", 0)


def memory(*items: tuple[Kind, Json]) -> t.Any:
    return ClusterInMemory(*items)


def item(kind: Kind, **more: t.Any) -> tuple[Kind, Json]:
    metadata = {"name": "x", "uid": "uid-x", **({"namespace": "shop"} if kind.namespaced else {}), **LABELS}
    return kind, {"metadata": metadata, "spec": {}, **more}


def target(kind: str) -> Target:
    return Target("shop", "x", "uid-x", kind)


def guards(cluster: ClusterInMemory) -> list[set[str]]:
    return [set(body["metadata"]) & {"uid", "resourceVersion"} for _method, _kind, body in cluster.writes]


def write_again(
    cluster: ClusterInMemory, kind: Kind, change: t.Callable[[Json], None], *, new_uid: bool = False
) -> None:
    """Let somebody else write the object just before the next write."""

    def write() -> None:
        (live,) = cluster.list(kind)
        change(live)
        if new_uid:
            live["metadata"]["uid"] = "another"
        cluster.put(kind, live)

    cluster.meanwhile.append(write)


@pytest.mark.parametrize(
    ("kind", "aim", "undo"),
    [
        (POD, "ProbePod", drill_probe_pods.undo_once),
        (NETWORK_POLICY, "NetworkPolicy", drill_fault_in_network.undo_once),
        (SERVICE, "InboundService", drill_fault_in_service.undo_once),
    ],
)
@pytest.mark.parametrize(
    "change",
    [
        lambda live: live["metadata"].update(labels={}),
        # Somebody copied the drill's object, its label included.
        lambda live: live["metadata"].update(managedFields=owned(live, "kubectl")["metadata"]["managedFields"][-1:]),
    ],
)
def test_only_the_very_object_that_was_looked_at_is_deleted(
    kind: Kind, aim: str, undo: t.Any, change: t.Callable[[Json], None]
) -> None:
    _kind, own = copy.deepcopy(item(kind))
    own["metadata"]["labels"][drill_fault_in_service.LABEL] = DRILL
    cluster = memory((kind, owned(own)))
    write_again(cluster, kind, change, new_uid=True)
    more = () if kind is POD else (False,)
    with pytest.raises(Conflict):
        undo(cluster, target(aim), DRILL, *more)
    assert guards(cluster) == [{"uid"}]
    assert undo(cluster, target(aim), DRILL, *more).state == RESTORED, "looked at again: somebody else's, and left"
    assert len(cluster.list(kind)) == 1


def test_an_object_that_somebody_else_has_marked_is_not_taken_for_the_drills_own() -> None:
    kind, theirs = item(NETWORK_POLICY)
    cluster = memory((kind, owned(theirs, "kubectl")))
    with pytest.raises(Conflict):
        drill_fault_in_network.inject(cluster, target("NetworkPolicy"), DRILL, 1)


def test_only_journals_that_drills_have_written_are_pruned() -> None:
    """Not a copy that somebody keeps."""
    cluster = memory()
    for name, manager in (("1", "kubectl"), ("2", FIELD_MANAGER), ("3", FIELD_MANAGER)):
        at = f"2026-01-0{name}T00:00:00.000Z"
        record = JournalRecord(name, "ann", "", "shop", "web", "drain", (), at, at, (), state=CLOSED)
        metadata = {"name": name, "namespace": "shop", "labels": {drill_journal.LABEL: CLOSED}}
        text = {"metadata": metadata, "data": {drill_journal.KEY: journal.write(record)}}
        cluster.put(CONFIG_MAP, owned(text, manager))
    drill_journal.prune(cluster, "shop", keep=1)
    assert [entry["metadata"]["name"] for entry in cluster.list(CONFIG_MAP)] == ["1", "3"]


def test_a_node_is_cordoned_as_it_was_read() -> None:
    cluster = memory(item(NODE))
    write_again(cluster, NODE, lambda live: live.update(status={"reported": "again"}))
    drill_fault_eviction.inject(cluster, target("Node"), DRILL, 1)
    assert guards(cluster) == [{"uid", "resourceVersion"}] * 2
    (node,) = cluster.list(NODE)
    assert node["spec"]["unschedulable"] is True
    assert node["metadata"]["annotations"] == {drill_fault_eviction.ANNOTATION: DRILL}
    drill_fault_eviction.undo_once(cluster, target("Node"), DRILL, False)
    assert guards(cluster)[-1] == {"uid", "resourceVersion"}
    (node,) = cluster.list(NODE)
    assert "unschedulable" not in node["spec"]


def test_a_node_that_somebody_else_cordons_meanwhile_stays_his() -> None:
    cluster = memory(item(NODE))
    write_again(cluster, NODE, lambda live: live["spec"].update(unschedulable=True))
    with pytest.raises(NotReady, match="was cordoned by somebody else before the fault"):
        drill_fault_eviction.inject(cluster, target("Node"), DRILL, 1)
    done = drill_fault_eviction.undo_once(cluster, target("Node"), DRILL, False)
    assert (done.state, "cordoned by somebody else" in done.proof) == (RESTORED, True)


def test_a_node_that_changes_all_the_time_is_not_cordoned() -> None:
    cluster = memory(item(NODE))
    for _each in range(drill_fault_eviction.ATTEMPTS):
        write_again(cluster, NODE, lambda live: live.update(status={}))
    with pytest.raises(NotReady, match="keeps writing node x"):
        drill_fault_eviction.inject(cluster, target("Node"), DRILL, 1)


def offered(**annotations: str) -> tuple[Kind, Json]:
    """Return a ready node that an agent offers to stop."""
    kind, node = item(NODE, status={"conditions": [{"type": "Ready", "status": "True"}]})
    return kind, {
        **node,
        "metadata": {**node["metadata"], "annotations": {drill_fault_node_loss.OFFERED: "agent", **annotations}},
    }


def asked_by(cluster: ClusterInMemory) -> str:
    """Return who asks for the stop of the node."""
    (node,) = cluster.list(NODE)
    return str(json.loads(node["metadata"]["annotations"].get(drill_fault_node_loss.ASKED, '{"by": ""}'))["by"])


def mark(annotation: str, by: str) -> t.Callable[[Json], None]:
    return lambda live: live["metadata"]["annotations"].update({annotation: json.dumps({"by": by})})


def test_a_node_is_stopped_and_started_as_it_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = memory(offered())

    def agent(_seconds: float) -> None:
        """Stop the node while the drill waits for it."""
        (live,) = cluster.list(NODE)
        mark(drill_fault_node_loss.STOPPED, asked_by(cluster))(live)
        cluster.put(NODE, live)

    clock = types.SimpleNamespace(monotonic=time.monotonic, sleep=agent)
    monkeypatch.setattr(drill_fault_node_loss, "time", clock)
    assert drill_fault_node_loss.obstacle(cluster, target("Node"), DRILL) == ""
    assert asked_by(cluster) == ""
    write_again(cluster, NODE, lambda live: live.update(status={"reported": "again"}))
    assert "is stopped" in drill_fault_node_loss.inject(cluster, target("Node"), DRILL, 1)
    assert (asked_by(cluster), guards(cluster)) == (DRILL, [{"uid", "resourceVersion"}] * 3)
    # Somebody asks for a stop of his own just before the drill's would be taken off.
    write_again(cluster, NODE, mark(drill_fault_node_loss.ASKED, "ann"))
    with pytest.raises(Conflict):
        drill_fault_node_loss.undo_once(cluster, target("Node"), DRILL, False)
    done = drill_fault_node_loss.undo_once(cluster, target("Node"), DRILL, False)
    assert (done.state, "stopped by somebody else" in done.proof, asked_by(cluster)) == (RESTORED, True, "ann")


@pytest.mark.parametrize("annotation", [drill_fault_node_loss.ASKED, drill_fault_node_loss.STOPPED])
def test_a_node_that_somebody_else_stops_meanwhile_stays_his(annotation: str) -> None:
    cluster = memory(offered())
    write_again(cluster, NODE, mark(annotation, "ann"))
    with pytest.raises(NotReady, match="is stopped already"):
        drill_fault_node_loss.inject(cluster, target("Node"), DRILL, 1)
    assert asked_by(cluster) == ("ann" if annotation == drill_fault_node_loss.ASKED else "")


def test_a_label_goes_to_the_very_pod_that_was_looked_at() -> None:
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    service = item(SERVICE, spec={"selector": {"app": "x"}})
    cluster = memory(service, item(POD, status=ready))
    drill_fault_in_service.inject(cluster, target("Service"), DRILL, 1)
    drill_fault_in_service.inject(cluster, target("Pod"), DRILL, 1)
    assert guards(cluster) == [{"uid"}, {"resourceVersion"}, {"uid"}]
    write_again(cluster, POD, lambda live: None, new_uid=True)
    with pytest.raises(NotReady, match="was deleted or replaced before the fault"):
        drill_fault_in_service.inject(cluster, target("Pod"), DRILL, 1)


def test_a_service_of_the_drills_own_is_as_the_drilled_one_and_shown_to_no_client() -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080, "appProtocol": "http"}]
    cluster = memory(item(SERVICE, spec={"selector": {"app": "x"}, "ports": ports, "type": "NodePort"}))
    aim = Target("shop", "meshops-drill-d-1", "Service meshops-drill-d-1", "InboundService", part="x")
    assert drill_fault_in_service.obstacle(cluster, aim, DRILL) == ""
    assert len(cluster.list(SERVICE)) == 1
    for _again in range(2):  # also when the answer to the first try got lost
        drill_fault_in_service.inject(cluster, aim, DRILL, 1)
    own = cluster.get(SERVICE, aim.name, "shop")
    want = [{"name": "http", "port": 80, "targetPort": "web", "appProtocol": "http"}]
    assert own["spec"] == {"clusterIP": "None", "ports": want, "selector": {"app": "x"}}
    assert own["metadata"]["annotations"] == {"networking.istio.io/exportTo": "~"}
    assert drill_fault_in_service.undo_once(cluster, aim, DRILL, False).changed
    assert drill_fault_in_service.undo_once(cluster, aim, DRILL, True).state == GONE


def notice(cluster: t.Any, *, undo: bool = False) -> istiod_notification.Notified:
    return istiod_notification.notify(cluster, {"n1": "7"}, None, undo=undo)


def test_a_slice_that_was_changed_meanwhile_is_judged_again() -> None:
    cluster = memory((ENDPOINT_SLICE, SLICE))
    write_again(cluster, ENDPOINT_SLICE, lambda live: live.update(endpoints=[{"nodeName": "n1"}, {"nodeName": "n2"}]))
    assert notice(cluster).services == ["shop/web"]
    assert guards(cluster) == [{"uid", "resourceVersion"}] * 2
    (live,) = cluster.list(ENDPOINT_SLICE)
    assert live["metadata"]["annotations"][istiod_notification.NOTICE_ANNOTATION]
    # Nobody of the node is in it any more: nothing is left to write.
    other = memory((ENDPOINT_SLICE, SLICE))
    write_again(other, ENDPOINT_SLICE, lambda live: live.update(endpoints=[]))
    notice(other)
    assert len(other.writes) == 1
    (live,) = other.list(ENDPOINT_SLICE)
    assert "annotations" not in live["metadata"]


@pytest.mark.parametrize("undo", [True, False])
def test_a_slice_that_changes_all_the_time_is_an_error(undo: bool) -> None:
    cluster = memory((ENDPOINT_SLICE, SLICE))
    for _each in range(istiod_notification.ATTEMPTS):
        write_again(cluster, ENDPOINT_SLICE, lambda live: None)
    with pytest.raises(Conflict, match="EndpointSlice shop/web-1 was changed by somebody else 10 times"):
        notice(cluster, undo=undo)


def test_a_notice_that_came_and_did_not_go_is_told() -> None:
    """Of its two writes the second one fails: istiod has heard of the Service, and something was changed."""
    cluster = memory((ENDPOINT_SLICE, SLICE))
    patch = cluster.merge_patch

    def second_fails(kind: Kind, name: str, body: Json, namespace: str | None = None, **options: t.Any) -> Json:
        if None in body["metadata"]["annotations"].values():
            raise Unreachable("No answer from the API server.")
        return t.cast(Json, patch(kind, name, body, namespace, **options))

    cluster.merge_patch = second_fails
    with pytest.raises(Unreachable) as caught:
        notice(cluster, undo=True)
    assert caught.value.details["services_notified"] == ["shop/web"]


def test_a_mark_that_was_taken_off_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was left to notify but the marks of two nodes; the second one fails."""
    record = {"meshops.locality/node-topology": '{"labels":{},"pending":"7"}'}
    nodes = [{"metadata": {"name": name, "annotations": record}, "spec": {}} for name in ("n1", "n2")]
    cluster = memory(*((NODE, node) for node in nodes))
    patch = cluster.merge_patch

    def second_fails(kind: Kind, name: str, body: Json, namespace: str | None = None, **options: t.Any) -> Json:
        if name == "n2":
            raise Unreachable("No answer from the API server.")
        return t.cast(Json, patch(kind, name, body, namespace, **options))

    monkeypatch.setattr(cluster, "merge_patch", second_fails)
    params = {"state": "previous", "nodes": {}, "rules": [], "notify_istiod": True, "notify_all_namespaces": True}
    params |= {"notify_namespaces": None, "overwrite_foreign": False, "verify_notice": None}
    with pytest.raises(Unreachable) as caught:
        node_topology(cluster, params, module())
    assert caught.value.details["changed"] is True
