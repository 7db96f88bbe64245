# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and selectors: what Kubernetes takes, and that nothing empty gets through anywhere."""

from __future__ import annotations

import typing as t

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import NODE, POD
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import (
    CHECKS,
    VARIABLES,
    check_environment,
    check_names,
    label_selector,
    namespace_name,
    object_name,
)
from tests.conftest import ROOT

SPEC: dict[str, t.Any] = {
    "namespace": {},
    "pods": {"type": "list"},
    "verify_from": {"type": "dict", "options": {"namespace": {}, "label_selector": {}}},
    "rules": {"type": "list", "options": {"name": {}}},
    "path": {},
}


@pytest.mark.parametrize("option", sorted(CHECKS))
@pytest.mark.parametrize("blank", ["", " ", "\t\n"])
def test_nothing_that_names_something_may_be_blank(option: str, blank: str) -> None:
    with pytest.raises(InvalidInput, match=rf"^{option} is empty"):
        check_names({option: {}}, {option: blank})
    with pytest.raises(InvalidInput, match=rf"^{option}\[1\] is empty"):
        check_names({option: {}}, {option: ["a", blank]})


@pytest.mark.parametrize("variable", sorted(VARIABLES))
def test_no_variable_that_chooses_a_cluster_or_a_user_may_be_blank(variable: str) -> None:
    check_environment({variable: "x", "OTHER": ""})
    with pytest.raises(InvalidInput, match=rf"^{variable} is empty"):
        check_environment({variable: " "})


def test_every_option_of_a_module_that_names_something_is_checked() -> None:
    """An option of a module whose name says that it names a namespace, a pod or an object is in the table."""
    # Said elsewhere, with more: a pattern, the names of the collection's own variables, a file.
    elsewhere = {"name_pattern", "names"}
    for file in sorted((ROOT / "plugins" / "modules").glob("*.py")):
        documentation = file.read_text(encoding="utf-8").split('"""')[1]
        for option in options(yaml.safe_load(documentation).get("options") or {}):
            words = set(option.split("_"))
            if words & {"namespace", "namespaces", "name", "names", "pod", "pods", "container", "selector"}:
                assert option in CHECKS or option in elsewhere, f"{file.name}: {option}"


def options(given: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """Return the names of options that are texts or lists, and those of suboptions."""
    for name, form in given.items():
        if form.get("type", "str") in ("str", "raw", "list"):
            yield name
        yield from options(form.get("suboptions") or {})


@pytest.mark.parametrize("name", ["a/b", "..", "../nodes", "a?limit=1", "Sample", "-a", "a b", "a%2fb", "ä", "a" * 64])
def test_what_is_no_namespace(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"^namespace "):
        namespace_name(name)


@pytest.mark.parametrize("name", ["a", "a.b", "0", "ip-10-0-0-1.eu-west-1.compute.internal", "a" * 253])
def test_what_is_an_objects_name(name: str) -> None:
    assert object_name(name) == name


@pytest.mark.parametrize(
    "selector",
    ["a=b", "a==b", "a!=b", "a", "!a", "a,b=c", "v in (x, y)", "v notin (x),a=b", "x.y/z=1", "a=", "n>3", " a = b "],
)
def test_what_is_a_selector(selector: str) -> None:
    assert label_selector(selector) == selector


@pytest.mark.parametrize(
    "selector",
    [",", "a,", "a=b,,c=d", "=b", "a in b", "a in ()", "a=b c", "a=b=c", "a in (x", "-a", "a=-", "a=" + "x" * 64],
)
def test_what_is_no_selector(selector: str) -> None:
    with pytest.raises(InvalidInput, match=r"which is not a label selector|characters"):
        label_selector(selector)


def test_suboptions_are_checked_and_named_as_a_user_writes_them() -> None:
    good = {"namespace": "a", "pods": ["p"], "verify_from": {"namespace": None, "label_selector": "a=b"}, "path": ""}
    check_names(SPEC, {**good, "rules": [{"name": "n"}]})
    with pytest.raises(InvalidInput, match=r"^verify_from\.namespace is empty"):
        check_names(SPEC, {**good, "verify_from": {"namespace": ""}})
    with pytest.raises(InvalidInput, match=r"^rules\[1\]\.name is 'A'"):
        check_names(SPEC, {"rules": [{"name": "n"}, {"name": "A"}]})
    with pytest.raises(InvalidInput, match="which is not text"):
        check_names(SPEC, {"namespace": 3})


@given(st.text(max_size=12), st.text(max_size=12))
def test_no_name_reaches_further_than_its_own_path(namespace: str, name: str) -> None:
    """Whatever the texts are: one object of one namespace, or an error."""
    try:
        path = POD.path(namespace, name)
    except InvalidInput:
        assert not namespace.strip() or not name.strip() or {namespace, name} & {".", ".."}
        return
    assert path.count("/") == len("/api/v1/namespaces/n/pods/p") - len("apiv1namespacesnpodsp")
    assert not set(path) & set("?#% \n") - {"%"}


def test_a_path_is_never_widened() -> None:
    assert POD.path() == "/api/v1/pods"
    assert NODE.path(name="a") == "/api/v1/nodes/a"
    for wrong in [("", "p"), ("n", ""), ("", None), (None, "p"), ("..", "p")]:
        with pytest.raises(InvalidInput):
            POD.path(*wrong)
