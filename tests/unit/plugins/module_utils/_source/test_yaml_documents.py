# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""YAML and JSON as kubectl reads them, within bounds, with the line of what is wrong."""

from __future__ import annotations

import json
import typing as t

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._source import yaml_documents
from ansible_collections.meshops.locality.plugins.module_utils._source.yaml_documents import (
    Duplicate,
    documents,
    too_deep,
)


def read(text: str) -> list[t.Any]:
    return list(documents(text, "f.yaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"),
        ("12:30:00", "12:30:00"),
        ("yes", True),
        ("off", False),
        ("'yes'", "yes"),
        ("0644", 420),
        ("0o644", 420),
        ("0x1F", 31),
        ("08", 8.0),
        ("1_000", 1000),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        (".inf", ".inf"),
        ("~", None),
        ("1.2.3", "1.2.3"),
        ("-", None),
        ("!!str 5", "5"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars_mean_what_they_mean_to_kubectl(text: str, value: t.Any) -> None:
    (document,) = read(f"a: {text}" if text != "-" else "a:\n-")
    assert document["a"] == (value if text != "-" else [None])
    assert type(document["a"]) is type(value if text != "-" else [])


def test_many_documents_anchors_and_merges() -> None:
    text = "---\na: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\nf: {<<: [{b: 3}, *x], g: 4}\n---\n# nothing\n---\n- 1\n...\n"
    assert read(text) == [
        {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}, "f": {"b": 3, "g": 4}},
        [1],
    ]
    assert read("") == read("# only a comment\n") == read("---\n") == []


def test_keys_become_text() -> None:
    assert read("on: 1\n2: b\n~: c\n") == [{"true": 1, "2": "b", "null": "c"}]


def test_json_with_several_documents_and_with_a_mark_in_front() -> None:
    assert read('\ufeff {"a": [1, 2.5]}\n[3]') == [{"a": [1, 2.5]}, [3]]


def test_keys_that_stand_twice_are_reported() -> None:
    duplicates: list[Duplicate] = []
    assert list(documents("a: 1\nb:\n  c: 1\n  c: 2\n", "f", duplicates)) == [{"a": 1, "b": {"c": 2}}]
    assert list(documents('{"a": 1, "a": 2}', "f", duplicates)) == [{"a": 2}]
    assert duplicates == [Duplicate("c", 4), Duplicate("a", 0)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: b: c", r"^f\.yaml:1:5: not YAML: mapping values are not allowed"),
        ("a:\n  - b\n c: d", r"^f\.yaml:3:2: not YAML"),
        ("a: [1, 2", r"^f\.yaml:\d:\d+: not YAML"),
        ('{"a": 1,,}', r"^f\.yaml:1:9: not YAML"),
        ("a: *b", "there is no anchor b before this alias"),
        ("&a [*a]", "there is no anchor a before this alias"),
        ("a: !vault x", "the tag !vault means nothing to Kubernetes"),
        ("? [a]\n: b", r"^f\.yaml:1:\d: the key of an object is an object or a list"),
        ("a: {<<: 3}", "`<<` takes an object"),
        ("a: \x07", "control characters are not allowed"),
        ('"\\ud800"', r"^f\.yaml:1:\d: not YAML"),
        ('{"a": "\\ud800"}', r"^f\.yaml:1:\d+: not YAML"),
        ("x: 1\nname: {{ .Release.Name }}-web\n", r"^f\.yaml:2: this is a template.*name: .*helm template"),
        ("{{- if .Values.on }}\na: b\n{{- end }}\n", r"^f\.yaml:1: this is a template"),
        ("a: b\n{% for x in y %}\nc: d\n{% endfor %}\n", r"^f\.yaml:2: this is a template"),
        ("[" * 5000, "nested deeper than 200 levels"),
        ("- " * 5000 + "x", "nested deeper than 200 levels"),
        ('{"a":' * 5000 + "1" + "}" * 5000, "nested deeper than 200 levels"),
        ("\n".join(["a0: &a0 [x]"] + [f"a{i}: &a{i} [*a{i - 1}]" for i in range(1, 300)]), "nest deeper than 200"),
        (
            "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
            + "\n".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)),
            "stand for more than 1000000 values",
        ),
    ],
)
def test_what_is_wrong_and_where(text: str, expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        read(text)


def test_json_may_nest_deeper_than_yaml_so_it_is_looked_at_again() -> None:
    deep = json.loads('{"a":' * 300 + "1" + "}" * 300)
    assert too_deep(deep)
    assert not too_deep({"a": [[[1]]]})


@given(st.text(max_size=60) | st.text(alphabet="{}[]:,-?&*!|>'\"%@` \n\tab1", max_size=60))
def test_any_text_is_read_or_is_an_error_with_its_file(text: str) -> None:
    message = "f.yaml"
    try:
        json.dumps(read(text), allow_nan=False).encode()
    except InvalidInput as error:
        message = str(error)
    assert message.startswith("f.yaml")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_json_writes_is_read_as_it_was(value: t.Any) -> None:
    assert read(json.dumps([value])) == [[value]]


def test_without_the_c_library_the_same_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a: &x [1, {b: c}]\nd: *x\ne: |\n  text\n"
    fast = read(text)
    monkeypatch.setattr(yaml_documents, "_LOADER", yaml.SafeLoader)
    assert read(text) == fast
    with pytest.raises(InvalidInput, match="nested deeper"):
        read("[" * 2000)


def test_the_line_of_each_document() -> None:
    lines: list[int] = []
    text = "# first\na: 1\n---\n---\n\n# second\nb:\n  c: 1\n--- {d: 2}\n---\n[1]\n"
    assert list(documents(text, "f", None, lines)) == [{"a": 1}, {"b": {"c": 1}}, {"d": 2}, [1]]
    assert lines == [2, 7, 9, 11]
