# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import (
    PodLocalities,
    augmented,
    client_locality,
    pod_locality,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import semantics
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot, Unselected

NODE = {"topology.kubernetes.io/region": "r", "topology.kubernetes.io/zone": "z", "topology.istio.io/subzone": "s"}
NEW, OLD = "topology.istio.io/locality", "istio-locality"


@pytest.mark.parametrize(
    ("labels", "version", "text"),
    [
        ({}, "1.31", "r/z/s"),
        ({OLD: "a.b.c"}, "1.31", "a/b/c"),
        ({OLD: "a.b/c"}, "1.31", "a.b/c"),
        ({NEW: "x.y", OLD: "a.b.c"}, "1.31", "x/y"),
        # The newer label hides the older one even when it is empty; then the node decides.
        ({NEW: "", OLD: "a.b.c"}, "1.31", "r/z/s"),
        ({NEW: "x.y"}, "1.29", "x/y"),
        # Before 1.29 nobody reads the newer label.
        ({NEW: "x.y"}, "1.28", "r/z/s"),
        ({NEW: "x.y", OLD: "a.b.c"}, "1.28", "a/b/c"),
        ({NEW: "", OLD: "a.b.c"}, "1.28", "a/b/c"),
    ],
)
def test_the_pods_own_label_comes_before_its_node(labels: dict[str, str], version: str, text: str) -> None:
    assert str(Locality.parse(pod_locality(labels, NODE, semantics(version)))) == text


@pytest.mark.parametrize(
    ("field", "version", "text"),
    [("", "1.31", "x/y"), ("", "1.28", "a/b/c"), ("f/g", "1.31", "f/g"), ("f/g", "1.28", "f/g")],
)
def test_a_workload_entrys_field_comes_before_its_label_and_the_version_says_which(
    field: str, version: str, text: str
) -> None:
    entry = Unselected("a", "vm", {NEW: "x.y", OLD: "a.b.c"}, field)
    assert PodLocalities(Snapshot(), semantics(version)).of_entry(entry) == text


def test_a_node_that_is_not_known_places_nothing() -> None:
    assert pod_locality({}, None, semantics("1.31")) == ""


def test_a_pods_zone_label_places_it_as_a_client_but_not_as_an_endpoint() -> None:
    labels, newest = {"topology.kubernetes.io/zone": "own"}, semantics("1.31")
    endpoint = pod_locality(labels, {"topology.kubernetes.io/region": "r"}, newest)
    assert Locality.parse(endpoint) == Locality("r")
    assert client_locality(augmented(labels, endpoint, "", "", ""), newest) == Locality("r", "own")
