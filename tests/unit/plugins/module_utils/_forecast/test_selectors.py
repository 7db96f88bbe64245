# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._forecast import selectors
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from tests.unit.plugins.module_utils._forecast.tutorial_mesh import BEIJING, HOST, TIANJIN, snapshot


@pytest.fixture(scope="module")
def planner() -> Planner:
    return Planner(snapshot())


@pytest.mark.parametrize(
    "name", ["helloworld", "helloworld.sample", "helloworld.sample.svc", HOST, "hello*", "*.sample", "h*d.s*e"]
)
def test_a_service_is_found_by_the_names_people_use(planner: Planner, name: str) -> None:
    assert [service.host for service in selectors.services(planner, [name])] == [HOST]


@pytest.mark.parametrize(
    ("name", "namespace", "says"),
    [
        ("helloword", "", "near: helloworld.sample"),
        ("cart", "", "there are helloworld.sample"),
        ("helloworld", "shop", "no Service in namespace 'shop'; there are sample"),
        ("helloworld.shop", "", "near: helloworld.sample"),
        ("", "sample", "no Service ''"),
    ],
)
def test_an_unknown_service_is_an_error_with_near_names(planner: Planner, name: str, namespace: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        selectors.services(planner, [name], namespace)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sample/sleep-tianjin", ["sleep-tianjin"]),
        ("sleep-*", ["sleep-beijing", "sleep-tianjin"]),
        (TIANJIN, ["sleep-tianjin"]),
        ("*/beijing", ["sleep-beijing"]),
        ("app=sleep", ["sleep-beijing", "sleep-tianjin"]),
        ("app==sleep, topology.istio.io/subzone=tianjin", ["sleep-tianjin"]),
        ("topology.istio.io/subzone!=tianjin", ["sleep-beijing"]),
    ],
)
def test_clients_are_found_by_pod_place_or_labels(planner: Planner, text: str, names: list[str]) -> None:
    chosen = selectors.clients(planner, [text])
    assert sorted(member.name for kind in chosen for member in kind.members) == names


def test_an_unknown_client_is_an_error(planner: Planner) -> None:
    with pytest.raises(InvalidInput, match="no client 'sample/sleep-tianjim'; near: sample/sleep-tianjin"):
        selectors.clients(planner, ["sample/sleep-tianjim"])


@pytest.mark.parametrize(
    ("given", "means"),
    [
        ("zone cn-north-4/cn-north-4b", ["zone cn-north-4/cn-north-4b"]),
        ("zone cn-north-4b", ["zone cn-north-4/cn-north-4b"]),
        ({"zone": "cn-north-4b"}, ["zone cn-north-4/cn-north-4b"]),
        ({"level": "node", "place": "tianjin"}, ["node tianjin"]),
        ("subzone tianjin + subzone beijing", [f"subzone {TIANJIN}", f"subzone {BEIJING}"]),
        (["node tianjin", {"region": "cn-south-1"}], ["node tianjin", "region cn-south-1"]),
        ("pod helloworld-tianjin-0", ["pod sample/helloworld-tianjin-0"]),
        (
            "pod helloworld-*",
            [f"pod sample/helloworld-{place}-0" for place in ("beijing", "guangzhou", "shenyang", "tianjin")],
        ),
    ],
)
def test_losses_as_people_write_them(planner: Planner, given: t.Any, means: list[str]) -> None:
    assert [str(loss) for loss in selectors.losses(planner, [given])[0]] == means


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("zone", r"losses\[0\]: 'zone' is no loss. Write a level"),
        ("planet earth", "is no loss"),
        ("zone cn-north-4x", "no zone 'cn-north-4x'; near: cn-north-4/cn-north-4b"),
        ({"zone": "a", "node": "b"}, r"losses\[0\] has the keys zone, node"),
        ({}, "has the keys"),
        (3, r"losses\[0\] is 3"),
        (None, r"losses\[0\] is None"),
        ([], r"losses\[0\] names nothing"),
        ("node x*", "no node 'x\\*'"),
    ],
)
def test_what_is_no_loss_is_an_error(planner: Planner, given: t.Any, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        selectors.losses(planner, [given])
