# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is deleted, what is given back, and what an error between two requests says."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, LocalityError, Unreachable
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import (
    DESTINATION_RULE,
    VIRTUAL_SERVICE,
    Kind,
)
from ansible_collections.meshops.locality.plugins.module_utils._module.failover_policy_writes import (
    Steps,
    annotated,
    field_manager,
    take_back,
    write_as_judged,
)
from ansible_collections.meshops.locality.plugins.module_utils._policy.istio_objects import (
    MADE_ANNOTATION,
    OWNER_ANNOTATION,
)
from ansible_collections.meshops.locality.plugins.module_utils._policy.previous_rule import Previous, digest
from tests.unit.plugins.module_utils.cluster_in_memory import ClusterInMemory, owned

Json = dict[str, t.Any]
MANAGER = "meshops.locality:me"
MADE = {MADE_ANNOTATION: "web"}
GONE = Unreachable("No answer from the API server.")


def manifest(kind: Kind, annotations: Json | None = None, **spec: t.Any) -> Json:
    metadata = {"name": "web", "namespace": "shop", "annotations": annotations or {}}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": spec}


def back(cluster: ClusterInMemory, kind: Kind, **options: t.Any) -> Json | None:
    live = cluster.get(kind, "web", "shop")
    assert live
    given = {"force": False, "force_deletion": False, "dry_run": False, **options}
    return take_back(t.cast(t.Any, cluster), kind, live, MANAGER, **given)


@pytest.mark.parametrize("kind", [DESTINATION_RULE, VIRTUAL_SERVICE])
@pytest.mark.parametrize(
    "theirs",
    [
        owned(manifest(VIRTUAL_SERVICE, {OWNER_ANNOTATION: "web"}), "kubectl"),
        owned(manifest(VIRTUAL_SERVICE, {**MADE, OWNER_ANNOTATION: "web"}), "kubectl"),
        owned(owned(manifest(VIRTUAL_SERVICE), MANAGER), "kubectl"),
        manifest(VIRTUAL_SERVICE, MADE),
    ],
)
def test_only_what_has_our_mark_in_our_own_name_is_deleted(kind: Kind, theirs: Json) -> None:
    """Also by force: neither a copied annotation nor a field manager alone makes it ours."""
    cluster = ClusterInMemory((kind, theirs))
    with pytest.raises(Conflict, match="was not made by this policy"):
        back(cluster, kind, force=True, force_deletion=True)
    assert cluster.writes == []


@pytest.mark.parametrize("kind", [DESTINATION_RULE, VIRTUAL_SERVICE])
def test_what_was_somebody_elses_comes_back(kind: Kind) -> None:
    previous = Previous({"host": "old"}, "helm", digest({"host": "new"}))
    live = annotated(manifest(kind, host="new"), owned(manifest(kind), "helm"), previous, MANAGER)
    cluster = ClusterInMemory((kind, owned(live, MANAGER)))
    restored = back(cluster, kind)
    assert restored is not None
    assert restored["spec"] == {"host": "old"}
    guards = [body["metadata"].keys() & {"uid", "resourceVersion"} for _method, _kind, body in cluster.writes]
    assert guards == [{"resourceVersion"}, {"uid", "resourceVersion"}]


@pytest.mark.parametrize("force", [True, False])
def test_fields_that_were_taken_over_come_back_before_anything_else(force: bool) -> None:
    """They keep the object, as they did before, unless its deletion is forced."""
    previous = Previous({"exportTo": ["."]}, "kubectl", "", whole=False)
    live = owned(
        manifest(VIRTUAL_SERVICE, {**MADE, "meshops.locality/previous": previous.text()}, hosts=["h"]), MANAGER
    )
    cluster = ClusterInMemory((VIRTUAL_SERVICE, live))

    def theirs() -> None:  # what the API server does when they own a field again
        cluster.items["virtualservices", "shop", "web"] = owned(
            cluster.items["virtualservices", "shop", "web"], "kubectl"
        )

    cluster.meanwhile = [theirs]
    if force:
        assert back(cluster, VIRTUAL_SERVICE, force_deletion=True) is None
        assert cluster.list(VIRTUAL_SERVICE) == []
        return
    with pytest.raises(Conflict, match="also holds fields of kubectl") as caught:
        back(cluster, VIRTUAL_SERVICE)
    assert caught.value.details["begun"], "something was written"
    (left,) = cluster.list(VIRTUAL_SERVICE)
    assert left["spec"] == {"hosts": ["h"], "exportTo": ["."]}
    assert "meshops.locality/previous" not in left["metadata"]["annotations"]


def test_an_error_after_the_creation_says_that_something_was_changed() -> None:
    cluster = ClusterInMemory()
    cluster.fails = {"apply": [GONE]}
    wanted = annotated(manifest(DESTINATION_RULE, host="h"), None, None, MANAGER)
    steps = Steps(check_mode=False)
    with pytest.raises(LocalityError) as caught:
        steps.take(
            "DestinationRule web",
            lambda: write_as_judged(
                t.cast(t.Any, cluster), DESTINATION_RULE, wanted, None, wanted, MANAGER, force=False
            ),
            ["VirtualService web"],
        )
    details = caught.value.details
    assert (details["changed"], details["written"]) == (True, [])
    assert details["not_written"] == ["DestinationRule web", "VirtualService web"]
    assert "DestinationRule web was begun. Not written: DestinationRule web, VirtualService web." in str(caught.value)


def test_an_error_in_the_middle_of_a_restore_says_that_something_was_changed() -> None:
    previous = Previous({"host": "old"}, "helm", digest({"host": "new"}))
    live = annotated(manifest(DESTINATION_RULE, host="new"), owned(manifest(DESTINATION_RULE)), previous, MANAGER)
    cluster = ClusterInMemory((DESTINATION_RULE, owned(live, MANAGER)))
    cluster.fails = {"apply": [GONE]}
    with pytest.raises(LocalityError) as caught:
        Steps(check_mode=False).take("DestinationRule web", lambda: back(cluster, DESTINATION_RULE))
    assert caught.value.details["changed"] is True
    again = back(cluster, DESTINATION_RULE)
    assert again is not None
    assert again["spec"] == {"host": "old"}, "the second run finishes"


def test_an_error_before_anything_is_written_says_that_nothing_was_changed() -> None:
    cluster = ClusterInMemory()
    cluster.fails = {"create": [GONE]}
    wanted = manifest(DESTINATION_RULE, host="h")
    with pytest.raises(LocalityError) as caught:
        Steps(check_mode=False).take(
            "DestinationRule web",
            lambda: write_as_judged(
                t.cast(t.Any, cluster), DESTINATION_RULE, wanted, None, wanted, MANAGER, force=False
            ),
        )
    assert not caught.value.details.get("changed")


@pytest.mark.parametrize("user", ["", "ann"])
@pytest.mark.parametrize("owner", [None, "team", "\n"])
def test_whoever_is_not_kept_apart_from_others_is_warned(
    monkeypatch: pytest.MonkeyPatch, user: str, owner: str | None
) -> None:
    """An API server before Kubernetes 1.28, or one that forbids the question."""
    cluster = ClusterInMemory()
    monkeypatch.setattr(cluster, "user", lambda: user, raising=False)
    warnings: list[str] = []
    manager = field_manager(t.cast(t.Any, cluster), {"owner": owner}, warnings.append)
    name = {None: user, "team": "team", "\n": ""}[owner]
    assert manager == ("meshops.locality:" + name if name else "meshops.locality")
    assert [warning[-10:] for warning in warnings] == ([] if name else ["Set owner."])
