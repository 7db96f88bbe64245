# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, LocalityError
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    LEGACY_ZONE_LABEL,
    REGION_LABEL,
    SUBZONE_LABEL,
    ZONE_LABEL,
)
from ansible_collections.meshops.locality.plugins.module_utils._topology.node_labels import (
    LABELS,
    RECORD_ANNOTATION,
    LabelChange,
    LabelledNode,
    Record,
    check_value,
    plan_labels,
    plan_previous,
)

LABEL = st.sampled_from(sorted(LABELS.values()))
VALUE = st.sampled_from(["a", "b", "c"])
TOPOLOGY = st.dictionaries(LABEL, VALUE)
WANTED = st.dictionaries(LABEL, st.one_of(st.none(), VALUE))


def written(change: LabelChange) -> LabelledNode:
    """The node as the API server has it after the patch, with the record read back from its text."""
    after = change.after
    version = str(int(after.resource_version or "1") + 1)
    return replace(after, record=Record.parse(after.name, after.record.text()), resource_version=version)


@given(TOPOLOGY, st.lists(WANTED, min_size=1, max_size=4), st.booleans())
def test_apply_then_previous_is_identity(
    labels: dict[str, str], steps: list[dict[str, str | None]], notify: bool
) -> None:
    node = LabelledNode("n", {"other": "x", **labels}, resource_version="1")
    for wanted in steps:
        node = written(plan_labels(node, wanted, overwrite_foreign=True, notify=notify))
        assert all(node.labels.get(label) == value for label, value in wanted.items())
        assert not plan_labels(node, wanted, notify=notify).changed or node.record.pending
    back = plan_previous(node, LABELS.values())
    assert back.after.labels == {"other": "x", **labels}
    assert back.record.text() is None
    assert back.not_restored == ()


@given(TOPOLOGY, WANTED, WANTED)
def test_previous_never_touches_what_others_changed(
    labels: dict[str, str], wanted: dict[str, str | None], theirs: dict[str, str | None]
) -> None:
    node = written(plan_labels(LabelledNode("n", labels, resource_version="1"), wanted, overwrite_foreign=True))
    changed = {label: value for label, value in {**node.labels, **theirs}.items() if value is not None}
    back = plan_previous(replace(node, labels=changed), LABELS.values())
    for label, value in theirs.items():
        if value not in (node.labels.get(label), labels.get(label)):
            assert back.after.labels.get(label) == value
            assert label in node.record.entries or label not in {left.label for left in back.not_restored}
    assert not plan_previous(written(back), LABELS.values()).changed


@given(TOPOLOGY, WANTED)
def test_without_permission_no_foreign_region_or_zone_changes(
    labels: dict[str, str], wanted: dict[str, str | None]
) -> None:
    change = plan_labels(LabelledNode("n", labels), wanted)
    for label in (REGION_LABEL, ZONE_LABEL):
        if label in labels:
            assert change.after.labels[label] == labels[label]
    foreign = [x for x in (REGION_LABEL, ZONE_LABEL) if x in labels and wanted.get(x, labels[x]) != labels[x]]
    assert len(change.refused) == len(foreign)


def test_patch_is_guarded_and_holds_only_what_differs() -> None:
    node = LabelledNode("n", {ZONE_LABEL: "z", SUBZONE_LABEL: "old"}, resource_version="7")
    change = plan_labels(node, {ZONE_LABEL: "z", SUBZONE_LABEL: "new"})
    assert change.patch() == {
        "metadata": {
            "resourceVersion": "7",
            "labels": {SUBZONE_LABEL: "new"},
            "annotations": {
                RECORD_ANNOTATION: '{"labels":{"topology.istio.io/subzone":{"before":"old","set":"new"}},"pending":"7"}'
            },
        }
    }


def test_legacy_zone_of_somebody_else_is_refused_too() -> None:
    node = LabelledNode("n", {LEGACY_ZONE_LABEL: "a"}, owners={LEGACY_ZONE_LABEL: ("gke",)})
    change = plan_labels(node, {ZONE_LABEL: "b"})
    assert change.refused == (f"n: {LEGACY_ZONE_LABEL} is 'a', set by gke, wanted 'b'",)
    assert plan_labels(node, {ZONE_LABEL: "a"}).refused == ()


def test_pending_mark_survives_only_with_a_reason() -> None:
    node = LabelledNode("n", {}, resource_version="1")
    silent = written(plan_labels(node, {SUBZONE_LABEL: "s"}))
    assert silent.record.pending == "1"
    assert plan_previous(silent, LABELS.values()).record.text() is None
    assert plan_previous(silent, LABELS.values(), notify=True).record.pending == "2"


@pytest.mark.parametrize(
    "text", ["", "oops", "[]", '{"labels": {"a": 1}}', '{"labels": {"a": {"before": 1, "set": "x"}}}']
)
def test_damaged_record(text: str) -> None:
    if not text:
        assert Record.parse("n", text) == Record()
        return
    with pytest.raises(LocalityError, match="of node n cannot be read"):
        Record.parse("n", text)


@pytest.mark.parametrize("value", ["a", "1", 7, "cn-north-4", "A_b.c", "x" * 63])
def test_legal_values(value: object) -> None:
    assert check_value(value, "here") == str(value)


@pytest.mark.parametrize("value", ["", "-a", "a-", "a b", "北京", "a/b", "x" * 64, True, None, 1.5, "a\n"])
def test_illegal_values(value: object) -> None:
    with pytest.raises(InvalidInput, match=r"^here is"):
        check_value(value, "here")


def test_back_to_the_first_value_leaves_nothing_to_remember() -> None:
    node = written(
        plan_labels(LabelledNode("n", {SUBZONE_LABEL: "first"}, resource_version="1"), {SUBZONE_LABEL: "second"})
    )
    assert SUBZONE_LABEL in node.record.entries
    assert plan_labels(node, {SUBZONE_LABEL: "first"}).record.text() is None


@pytest.mark.parametrize(
    ("owned", "says"),
    [
        ({"owners": {SUBZONE_LABEL: ("their-hands",)}}, "owned by their-hands now"),
        ({"ours": frozenset()}, "owned by an unknown owner now"),
    ],
)
def test_a_label_of_the_value_we_set_that_somebody_else_owns_stays(owned: dict[str, object], says: str) -> None:
    """The record alone does not make it ours: it may have been set anew, or by both."""
    node = written(plan_labels(LabelledNode("n", {}, resource_version="1"), {SUBZONE_LABEL: "x"}))
    assert plan_previous(node, LABELS.values()).labels == {SUBZONE_LABEL: None}
    back = plan_previous(replace(node, **owned), LABELS.values())
    assert back.labels == {}
    (left,) = back.not_restored
    assert says in str(left)
    assert back.record.text() is None
