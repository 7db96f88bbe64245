# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule was before: written down once, and put back exactly."""

from __future__ import annotations

import copy
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import contains
from ansible_collections.meshops.locality.plugins.module_utils._policy.previous_rule import (
    PREVIOUS_ANNOTATION,
    Previous,
    digest,
    merge_difference,
    previous_of,
    spec_of_others,
    without,
)

OURS = "meshops.locality"
VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
DAMAGED = '{"spec": {}, "manager": "a", "written": "b", "whole": 1}'
SPECS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def rule(spec: t.Any, *managers: str, previous: Previous | None = None) -> dict[str, t.Any]:
    annotations = {PREVIOUS_ANNOTATION: previous.text()} if previous else {}
    fields = [
        {"manager": name, "time": str(number), "fieldsV1": {"f:spec": {}}} for number, name in enumerate(managers)
    ]
    metadata = {"name": "r", "namespace": "n", "annotations": annotations, "managedFields": fields}
    return {"metadata": metadata, "spec": spec}


def merged(live: t.Any, patch: t.Any) -> t.Any:
    """RFC 7386, written down once more."""
    if not isinstance(patch, dict):
        return patch
    result = copy.deepcopy(live) if isinstance(live, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@given(SPECS, SPECS)
def test_the_patch_makes_exactly_what_was(live: dict[str, t.Any], wanted: dict[str, t.Any]) -> None:
    patch = merge_difference(live, wanted)
    assert merged(live, patch) == wanted
    assert contains(wanted, patch)


def test_only_an_object_of_somebody_else_is_written_down() -> None:
    after = rule({"host": "new"})
    assert previous_of(None, after, OURS) is None
    assert previous_of(rule({"host": "old"}, OURS, "kubectl"), after, OURS) is None
    previous = previous_of(rule({"host": "old"}, "helm", "kubectl"), after, OURS)
    assert previous == Previous({"host": "old"}, "kubectl", digest({"host": "new"}))


def test_what_was_written_down_once_stays_and_shows_changes_of_others() -> None:
    first = Previous({"host": "old"}, "kubectl", digest({"host": "ours"}))
    untouched = previous_of(rule({"host": "ours"}, OURS, previous=first), rule({"host": "ours too"}), OURS)
    assert untouched == Previous({"host": "old"}, "kubectl", digest({"host": "ours too"}))
    assert previous_of(rule({"host": "theirs"}, OURS, previous=first), rule({"host": "ours too"}), OURS) == first


def partly(spec: t.Any, *theirs: dict[str, t.Any], previous: Previous | None = None) -> dict[str, t.Any]:
    """A rule that the policy has made, in which others own the given field sets."""
    live = rule(spec, OURS, previous=previous)
    live["metadata"]["managedFields"] += [
        {"manager": f"theirs-{number}", "time": "9", "fieldsV1": {"f:spec": fields}}
        for number, fields in enumerate(theirs)
    ]
    return live


def test_fields_of_others_that_are_taken_over_are_written_down_also_in_our_own_rule() -> None:
    policy: dict[str, t.Any] = {
        "f:trafficPolicy": {"f:outlierDetection": {"f:interval": {}}, "f:tls": {".": {}, "f:mode": {}}}
    }
    was = {"host": "h", "trafficPolicy": {"outlierDetection": {"interval": "9s"}, "tls": {"mode": "X"}}}
    new = {"host": "h", "trafficPolicy": {"outlierDetection": {"interval": "1s"}, "tls": {"mode": "X"}}}
    taken = Previous({"trafficPolicy": {"outlierDetection": {"interval": "9s"}}}, "theirs-0", digest(new), whole=False)
    assert previous_of(partly(was, policy), rule(new), OURS) == taken
    assert previous_of(partly(was, policy), rule(was), OURS) is None, "nothing of theirs changes"
    assert Previous.of(rule({}, previous=taken)) == taken
    # Another field of theirs, later: both are to be given back.
    later = partly(new, {"f:trafficPolicy": {"f:tls": {"f:mode": {}}}}, previous=taken)
    more = previous_of(later, rule({"host": "h"}), OURS)
    assert more is not None
    assert more.spec == {"trafficPolicy": {"outlierDetection": {"interval": "9s"}, "tls": {"mode": "X"}}}


def test_what_somebody_owns_again_is_not_given_back_over_it() -> None:
    taken = {"a": {"b": 1, "c": 2}, "d": [1]}
    live = partly({"a": {"b": 7, "c": 2}, "d": [2]}, {"f:a": {"f:b": {}}}, {"f:d": {}})
    assert spec_of_others(live, OURS) == {"a": {"b": 7}, "d": [2]}
    assert without(taken, spec_of_others(live, OURS)) == {"a": {"c": 2}}


@pytest.mark.parametrize("text", ["{", "[]", '{"spec": 1, "manager": "a", "written": "b"}', '{"spec": {}}', DAMAGED])
def test_a_damaged_record_is_named(text: str) -> None:
    broken = rule({})
    broken["metadata"]["annotations"][PREVIOUS_ANNOTATION] = text
    with pytest.raises(LocalityError, match=r"previous of n/r cannot be read"):
        Previous.of(broken)


def test_a_rule_that_is_too_large_to_be_written_down_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too large"):
        Previous({"host": "x" * 300_000}, "kubectl", "").text()
