# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod that breaks and stays is taken out by its own readiness probe: how fast that is, and whether it has one."""

from __future__ import annotations

import copy
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import (
    Ability,
    Selection,
    forecast,
    resilience,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import relevant_fields
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh, Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._simulation.workload_pods import Template, pod_of

from .tutorial_mesh import objects, pod

Json = dict[str, t.Any]
PORT, PREFIX = "status.sidecar.istio.io/port", "readiness.status.sidecar.istio.io"
TIANJIN, BEIJING = "helloworld-tianjin-0", "helloworld-beijing-0"
OWN: Json = {"httpGet": {"port": 5000}, "periodSeconds": 5}


def mesh(**changes: Json) -> Snapshot:
    """The tutorial's mesh without any rule; `changes` {place: {annotations, labels, sidecar, app}} of its pods.

    `sidecar` and `app` are fields of the containers; without `sidecar` a pod that is changed has none.
    """
    items = copy.deepcopy(objects())
    for item in items:
        place = item["metadata"]["name"].removeprefix("helloworld-").removesuffix("-0")
        if item["kind"] != "Pod" or place not in changes:
            continue
        change = changes[place]
        item["metadata"]["annotations"] = change.get("annotations", {})
        item["metadata"]["labels"].update(change.get("labels", {}))
        containers = item["spec"]["containers"]
        containers[0].update(change.get("app", {}))
        if "sidecar" in change:
            containers.append({**pod("x", "sleep", "n", "")["spec"]["containers"][1], **change["sidecar"]})
    return build([relevant_fields(item) for item in items], mesh=Mesh(version="1.31.0"))


def outage(snapshot: Snapshot, *pods: str, **options: t.Any) -> tuple[str, t.Any]:
    """Return what ends the outage, and its least and most seconds."""
    loss = " + ".join(f"pod sample/{name}" for name in pods)
    asked = Selection(services=("helloworld",), clients=("sleep-tianjin",))
    answer = forecast(snapshot, asked, losses=[loss], ability=Ability(lose_clients=False), **options)
    (row,) = answer["rows"]
    (entry,) = resilience(snapshot, asked, losses=[loss], ability=Ability(lose_clients=False))["rows"][0]["entries"]
    until, seconds = row["losses"][0]["until"], row["losses"][0]["readiness_seconds"]
    if not options:  # the matrix says the same
        assert entry["until"] == until
        assert (entry["seconds"] is None) is (until == "never")
    return until, seconds and tuple(seconds)


INJECTED = ("readiness", (45, 60))


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        ({"sidecar": {}}, INJECTED),
        ({"sidecar": {}, "annotations": {f"{PREFIX}/periodSeconds": "2"}}, ("readiness", (6, 8))),
        ({"sidecar": {}, "annotations": {f"{PREFIX}/failureThreshold": "30"}}, ("readiness", (435, 450))),
        ({"sidecar": {}, "annotations": {f"{PREFIX}/initialDelaySeconds": "99"}}, INJECTED),
        ({"sidecar": {}, "annotations": {f"{PREFIX}/periodSeconds": "often"}}, INJECTED),
        ({"sidecar": {}, "annotations": {PORT: "15020"}}, INJECTED),
        ({"sidecar": {}, "annotations": {PORT: "0"}}, ("never", None)),
        ({"sidecar": {}, "annotations": {PORT: "0"}, "app": {"readinessProbe": OWN}}, ("readiness", (10, 15))),
        # The container that is there says more than the annotations, and has the defaults of Kubernetes.
        (
            {"sidecar": {"readinessProbe": {"httpGet": {}}}, "annotations": {f"{PREFIX}/periodSeconds": "2"}},
            ("readiness", (20, 30)),
        ),
        ({"sidecar": {"readinessProbe": {"periodSeconds": 1, "failureThreshold": 1}}}, ("readiness", (0, 1))),
        # What Kubernetes and the injector refuse says nothing.
        ({"sidecar": {}, "annotations": {f"{PREFIX}/periodSeconds": "9" * 5000}}, INJECTED),
        ({"sidecar": {"readinessProbe": {"periodSeconds": 10**400, "failureThreshold": -1}}}, ("readiness", (20, 30))),
        ({"annotations": {"sidecar.istio.io/inject": "false"}}, ("never", None)),
        ({"labels": {"sidecar.istio.io/inject": "false"}}, ("never", None)),
        ({"labels": {"sidecar.istio.io/inject": "false"}, "app": {"readinessProbe": OWN}}, ("readiness", (10, 15))),
    ],
)
def test_the_probe_of_a_lost_pod_ends_its_outage(change: Json, ends: tuple[str, t.Any]) -> None:
    assert outage(mesh(tianjin=change), TIANJIN) == ends


def test_only_the_lost_pods_count() -> None:
    slow = mesh(tianjin={"sidecar": {}, "annotations": {f"{PREFIX}/periodSeconds": "60"}})
    assert outage(slow, BEIJING) == INJECTED
    assert outage(slow, TIANJIN) == ("readiness", (180, 240))
    # The last of several ends it.
    assert outage(slow, TIANJIN, BEIJING) == ("readiness", (180, 240))


def test_equal_losses_of_pods_with_other_probes_cost_otherwise() -> None:
    mixed = mesh(
        tianjin={"sidecar": {}, "annotations": {f"{PREFIX}/periodSeconds": "30"}},
        beijing={"sidecar": {}, "annotations": {f"{PREFIX}/periodSeconds": "2"}},
    )
    losses = [f"pod sample/{name}" for name in (TIANJIN, BEIJING)]
    asked = Selection(services=("helloworld",), clients=("sleep-tianjin",))
    (row,) = resilience(mixed, asked, losses=losses, ability=Ability(lose_clients=False))["rows"]
    assert [entry["seconds"] for entry in row["entries"]] == [105, 7]


def test_without_a_probe_on_some_of_the_lost_pods_a_part_fails_for_ever() -> None:
    until, seconds = outage(mesh(tianjin={"sidecar": {}, "annotations": {PORT: "0"}}), TIANJIN, BEIJING)
    assert (until, seconds) == ("never", (45, 60))


def test_who_says_the_time_is_believed() -> None:
    assert outage(mesh(tianjin={"sidecar": {}, "annotations": {PORT: "0"}}), TIANJIN, readiness=7.0) == (
        "readiness",
        (7, 7),
    )


def test_a_lost_node_is_noticed_without_any_probe() -> None:
    asked = Selection(services=("helloworld",), clients=("sleep-tianjin",))
    silent = mesh(tianjin={"sidecar": {}, "annotations": {PORT: "0"}})
    (row,) = forecast(silent, asked, losses=["node tianjin"], ability=Ability(lose_clients=False))["rows"]
    assert row["losses"][0]["until"] == "readiness"


def test_pods_of_manifests_have_what_their_template_says() -> None:
    annotations = {PORT: "0", f"{PREFIX}/periodSeconds": "3", "sidecar.istio.io/inject": "true", "other": "x"}
    template = Template("shop", "Deployment", "web", {"sidecar.istio.io/inject": "true"}, annotations, {})
    written = pod_of(template, "web-0", "n", "10.0.0.1", {})["metadata"]["annotations"]
    assert {name: text for name, text in annotations.items() if name in written} == {
        name: annotations[name] for name in annotations if name != "other"
    }
