# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod's Deployment and mesh config say, and what istiod does not look at."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._istio import control_plane
from ansible_collections.meshops.locality.plugins.module_utils._istio.control_plane import ControlPlane, discovered
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Mesh

Json = dict[str, t.Any]


def istiod(image: str = "pilot:1.31.0", labels: Json | None = None, env: list[Json] | None = None) -> Json:
    container = {"name": "discovery", "image": image, "args": ["discovery", "--domain=mesh.local"], "env": env or []}
    other = {"name": "other", "image": "other:1.2.3", "env": [{"name": "PILOT_DRAINING_LABEL", "value": "no"}]}
    return {
        "kind": "Deployment",
        "metadata": {"name": "istiod", "namespace": "istio-system", "labels": {"app": "istiod", **(labels or {})}},
        "spec": {"template": {"spec": {"containers": [other, container]}}},
    }


def read(deployment: Json | None = None, *configs: tuple[t.Any, t.Any], **more: t.Any) -> ControlPlane:
    named = [(f"c{number}", *config) for number, config in enumerate(configs)]
    return control_plane.read(deployment, named, namespace="istio-system", revision="default", **more)


@pytest.mark.parametrize(
    ("image", "labels", "version"),
    [
        ("docker.io/istio/pilot:1.31.0", {}, "1.31.0"),
        ("reg:5000/istio/pilot:1.30.1-distroless", {"app.kubernetes.io/version": "1.0.0"}, "1.30.1-distroless"),
        ("reg:5000/istio/pilot:v1.29.0@sha256:abc", {}, "1.29.0"),
        ("pilot@sha256:abc", {"app.kubernetes.io/version": "1.30.4"}, "1.30.4"),
        ("pilot:latest", {"operator.istio.io/version": "1.31.0", "app.kubernetes.io/version": "1.0.0"}, "1.31.0"),
        ("pilot:latest", {}, ""),
    ],
)
def test_where_the_version_stands(image: str, labels: Json, version: str) -> None:
    plane = read(istiod(image, labels))
    assert plane.mesh.version == version
    assert bool(plane.assumptions) is (version == "")
    assert read(istiod(image, labels), version="1.28").mesh.version == "1.28"


def test_only_the_variables_of_istiod_that_matter_are_kept() -> None:
    env: list[Json] = [
        {"name": "PILOT_SEND_UNHEALTHY_ENDPOINTS", "value": "true"},
        {"name": "PILOT_DRAINING_LABEL", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}},
        {"name": "PASSWORD", "value": "hunter2"},
        {"name": "ENABLE_LOCALITY_WEIGHTED_LB_CONFIG"},
    ]
    plane = read(istiod(env=env))
    assert plane.mesh.features == {"PILOT_SEND_UNHEALTHY_ENDPOINTS": "true"}
    sentence = plane.assumptions[0].text
    assert "takes PILOT_DRAINING_LABEL from another object" in sentence
    assert (plane.domain, plane.cluster) == ("mesh.local", "Kubernetes")


def test_mesh_configs_follow_each_other_field_by_field() -> None:
    shared = {"rootNamespace": "a", "localityLbSetting": {"enabled": False}, "extensionProviders": [{"x": "secret"}]}
    plane = read(istiod(), (shared, None), ({"rootNamespace": "b"}, None))
    assert plane.mesh.config == {"rootNamespace": "b", "localityLbSetting": {"enabled": False}}
    assert read(istiod()).mesh.root_namespace == "istio-system"
    name = "SHARED_MESH_CONFIG"
    assert control_plane.config_map_names(istiod(env=[{"name": name, "value": "user"}]), "new") == ("user", "istio-new")


def test_other_clusters() -> None:
    networks = {
        "networks": {"n1": {"endpoints": [{"fromRegistry": "c1"}]}, "n2": {"endpoints": [{"fromRegistry": "c2"}]}}
    }
    plane = read(istiod(env=[{"name": "CLUSTER_ID", "value": "c1"}]), ({}, networks))
    assert (plane.cluster, plane.mesh.remote_clusters) == ("c1", ("c2",))
    sentence = plane.assumptions[0].text
    assert "(this one is c1, others c2): endpoints of other clusters are not in the snapshot" in sentence
    assert read(istiod(), ({}, {"networks": {}})).assumptions == ()


ANY = {"key": "mesh", "operator": "Exists"}
OBJECTS: list[Json] = [
    {"kind": "Node", "metadata": {"name": "n"}},
    {"kind": "Namespace", "metadata": {"name": "in", "labels": {"mesh": "yes"}}},
    {"kind": "Namespace", "metadata": {"name": "out", "labels": {"mesh": "no"}}},
    {"kind": "Pod", "metadata": {"namespace": "in", "name": "p"}},
    {"kind": "Pod", "metadata": {"namespace": "out", "name": "p"}},
    {"kind": "Service", "metadata": {"namespace": "unknown", "name": "s"}},
]


@pytest.mark.parametrize(
    ("selectors", "left"),
    [
        (None, {"in", "out", "unknown"}),
        ([], {"in", "out", "unknown"}),
        ([{"matchLabels": {"mesh": "yes"}}], {"in", "unknown"}),
        ([{"matchLabels": {"mesh": "x"}}, {"matchExpressions": [ANY]}], {"in", "out", "unknown"}),
        ([{"matchExpressions": [{"key": "mesh", "operator": "NotIn", "values": ["no"]}]}], {"in", "unknown"}),
    ],
)
def test_namespaces_that_istiod_does_not_look_at(selectors: t.Any, left: set[str]) -> None:
    problems: list[Problem] = []
    kept_objects, assumed = discovered(OBJECTS, Mesh(config={"discoverySelectors": selectors}), problems)
    assert {item["metadata"]["namespace"] for item in kept_objects if "namespace" in item["metadata"]} == left
    assert len([item for item in kept_objects if item["kind"] in ("Node", "Namespace")]) == 3
    assert bool(assumed) is ("out" not in left)
    assert problems == []


@pytest.mark.parametrize(
    "selectors",
    [
        "x",
        [3],
        [{"matchExpressions": [{"key": "a", "operator": "In"}]}],
        [{"matchExpressions": [{"operator": "Exists"}]}],
    ],
)
def test_selectors_that_istiod_refuses_select_everything(selectors: t.Any) -> None:
    problems: list[Problem] = []
    left, _told = discovered(OBJECTS, Mesh(config={"discoverySelectors": selectors}), problems)
    assert left == OBJECTS
    assert [problem.path for problem in problems] == ["discoverySelectors"]
