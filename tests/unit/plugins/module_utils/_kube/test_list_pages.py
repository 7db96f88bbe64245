# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of lists, read item by item."""

from __future__ import annotations

import json
import typing as t

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._kube.list_pages import Page, continue_token

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


def page(**fields: t.Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()


@given(st.lists(VALUES), st.dictionaries(st.text(), VALUES, max_size=2), st.booleans(), st.sampled_from([None, 2]))
def test_the_items_are_those_of_the_json(
    items: list[t.Any], more: dict[str, t.Any], last: bool, indent: int | None
) -> None:
    head = {"metadata": {"continue": "next", "x": 1}}
    more = {key: value for key, value in more.items() if key not in ("items", "metadata")}
    whole = {**head, **more, "items": items} if last else {"items": items, **more, **head}
    read = Page(json.dumps(whole, indent=indent).encode())
    assert list(read) == items
    assert read.token == "next"


def test_managed_fields_are_cut_out_and_nothing_else() -> None:
    managed = [{"manager": 'a"]b', "fieldsV1": {'k:{"name":"x]"}': {"f:a": {}}}}, {"manager": "\\\\"}]
    metadata = {"name": "x", "managedFields": managed, "uid": "1"}
    content = {"note": ',"managedFields":[{"a":1}]', "spec": {"managedFields": "text"}, "x": 'a,"managedFields":[]'}
    items = [{"metadata": metadata, "data": content}, {"metadata": {"managedFields": managed}}]
    first, second = Page(page(kind="PodList", apiVersion="v1", metadata={}, items=items), lean=True)
    assert first == {"metadata": {"name": "x", "uid": "1"}, "data": content}
    assert second == {"metadata": {"managedFields": managed}}, "only behind another field"
    nested = {"a": 1, "managedFields": [[1]]}
    assert list(Page(page(items=items))) == items
    assert list(Page(page(items=[nested]), lean=True)) == [nested], "what is no managed field is left alone"


@pytest.mark.parametrize("empty", [b'{"items":null}', b' { "items" : [ ] , "metadata" : {} } '])
def test_pages_without_items(empty: bytes) -> None:
    read = Page(empty)
    assert (list(read), read.token) == ([], "")


@pytest.mark.parametrize(
    "bad",
    [b"", b"[]", b"{}", b"<html>", b'{"login":"here"}', b'{"items":[{"a":1}', b'{"items":[1 2]}', b'{"a"}', b"\xff"],
)
def test_what_is_no_list(bad: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        list(Page(bad))


def test_the_next_page_is_known_from_the_first_bytes_of_kubernetes_own_lists() -> None:
    own = page(kind="PodList", apiVersion="v1", metadata={"resourceVersion": "1", "continue": "abc"}, items=[])
    assert continue_token(own) == "abc"
    assert continue_token(page(kind="PodList", apiVersion="v1", metadata={"resourceVersion": "1"}, items=[])) == ""
    # Custom resources have their metadata last; a text in an item must not be taken for the token.
    trap = {"kind": "x", "metadata": {"continue": "no"}}
    assert continue_token(page(apiVersion="v1", items=[trap], kind="XList", metadata={"continue": "yes"})) is None
    assert continue_token(page(items=[trap])) is None
