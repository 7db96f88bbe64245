# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects with anything anywhere: a snapshot comes out all the same, says what is wrong, and survives being saved."""

from __future__ import annotations

import contextlib
import json
import typing as t

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio import control_plane, snapshot_document
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_document import SnapshotDocument
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import relevant_fields
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem
from ansible_collections.meshops.locality.plugins.module_utils._simulation.replica_placement import place
from tests.unit.plugins.module_utils._module.test_manifests_on_a_snapshot import on_top
from tests.unit.plugins.module_utils.samples import GARBAGE, SECRET, damaged, objects, special

SCHEMA = jsonschema.Draft202012Validator(snapshot_document.schema())
SLOW = settings(deadline=None, suppress_health_check=list(HealthCheck))


@contextlib.contextmanager
def _only_refused(*names: str) -> t.Iterator[None]:
    """Let nothing through but an error of ours that names one of these."""
    try:
        yield
    except InvalidInput as error:
        text = str(error)
    else:
        return
    assert any(name in text for name in names), text


def test_the_samples_are_right() -> None:
    snapshot = build(objects())
    assert snapshot.problems == ()
    assert {service.host: len(service.endpoints) for service in snapshot.services} == {
        "web.shop.svc.cluster.local": 3,  # two of the slice, one WorkloadEntry
        "out.example": 1,
        "chosen.example": 2,
    }


def test_what_is_kept_is_all_that_is_read_and_no_secret() -> None:
    whole = [*objects(), *special()]
    assert SECRET in json.dumps(whole)
    left = [relevant_fields(item) for item in whole]
    assert SECRET not in json.dumps(left)
    assert build(_without_routes(left)) == build(_without_routes(whole))
    assert SECRET not in json.dumps(snapshot_document.write(_document(left)))
    (route,) = build(left).virtual_services
    assert (route.name, route.created, route.labels) == ("web", "2026-01-01T00:00:00Z", {"app": "web"})
    (http,) = route.spec["http"]
    assert (set(http), http["directResponse"]) == ({"match", "route", "retries", "directResponse"}, {"status": 200})
    assert http["route"] == [{"destination": {"host": "web", "port": {"number": 80}}}]


def test_what_is_kept_is_enough_to_place_pods() -> None:
    def placed(items: list[t.Any]) -> t.Any:
        result = place(items, items)
        return build([*items, *result.objects]), result.problems, result.assumptions

    whole = _without_routes([*objects(), *special()])
    bare = [item for item in whole if item["kind"] not in ("Pod", "EndpointSlice")]
    for items in (whole, bare):
        assert placed([relevant_fields(item) for item in items]) == placed(items)
    assert placed(bare)[0].pods


def _document(items: list[t.Any]) -> SnapshotDocument:
    return SnapshotDocument(items=tuple(relevant_fields(item) for item in items if isinstance(item, dict)))


def _without_routes(items: list[t.Any]) -> list[t.Any]:
    return [item for item in items if not (isinstance(item, dict) and item.get("kind") == "VirtualService")]


@SLOW
@given(damaged())
def test_of_damaged_objects_too_nothing_that_is_read_is_cut_off(items: list[t.Any]) -> None:
    items = _without_routes(items)
    assert repr(build([relevant_fields(item) for item in items])) == repr(build(items))


@SLOW
@given(damaged())
def test_a_snapshot_of_anything_can_be_saved_and_read_again(items: list[t.Any]) -> None:
    document = _document(items)
    plain = snapshot_document.write(document)
    SCHEMA.validate(plain)
    again = snapshot_document.read(json.loads(json.dumps(plain)))
    assert snapshot_document.write(again) == json.loads(json.dumps(plain)) or "NaN" in json.dumps(plain)
    assert all(problem.where for problem in document.snapshot.problems)


@SLOW
@given(damaged(), damaged())
def test_anything_can_be_placed_and_laid_on_top(items: list[t.Any], over: list[t.Any]) -> None:
    given_objects = [relevant_fields(item) for item in over if isinstance(item, dict)]
    with _only_refused("pods"):
        placed = place(given_objects, [*items, *given_objects])
        base = _document([*items, *placed.objects])
        on_top(base, given_objects)


@SLOW
@given(damaged(), GARBAGE, GARBAGE)
def test_any_control_plane_and_mesh_config(items: list[t.Any], mesh: t.Any, networks: t.Any) -> None:
    deployments = [item for item in items if isinstance(item, dict) and item.get("kind") == "Deployment"]
    for deployment in [*deployments, None]:
        plane = control_plane.read(
            deployment, [("istio", mesh, networks)], namespace="istio-system", revision="default"
        )
        problems: list[Problem] = []
        left, _told = control_plane.discovered(items, plane.mesh, problems)
        build(left, mesh=plane.mesh)


@SLOW
@given(GARBAGE)
def test_anything_is_a_snapshot_or_an_error_with_its_path(value: t.Any) -> None:
    plain = json.loads(json.dumps(snapshot_document.write(_document(objects()))))
    for name in list(plain):
        with_garbage = {**plain, name: value}
        with _only_refused(name, "snapshot"):
            snapshot_document.read(with_garbage)


@pytest.mark.parametrize("value", [None, [], "x", {}, {"schema": "meshops.locality/snapshot/v9"}])
def test_something_else_is_no_snapshot(value: t.Any) -> None:
    with pytest.raises(InvalidInput, match="Not a snapshot"):
        snapshot_document.read(value)
