# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of places become failover rules."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._policy.failover_rules import failover_rules
from ansible_collections.meshops.locality.plugins.module_utils._policy.offline_policy import checked


def pairs(*given: str) -> list[dict[str, str]]:
    return [dict(zip(("from", "to"), pair.split(">"), strict=True)) for pair in given]


@pytest.mark.parametrize(
    ("places", "options", "wanted"),
    [
        (["a", "b"], {}, pairs("a>b", "b>a")),
        (["a", "b", "c"], {}, pairs("a>b", "b>c", "c>a")),
        (["a", "b", "c"], {"shape": "primary"}, pairs("a>b", "b>a", "c>a")),
        (["a", "b", "c"], {"prefer": {"a": "c"}}, pairs("a>c", "b>c", "c>a")),
        (["a/z/s", "a/z/t", "b/y"], {}, pairs("a>b", "b>a")),
        ([{"region": "a", "zone": "x"}, {"region": "b"}], {}, pairs("a>b", "b>a")),
        ({"n1": {"region": "a"}, "n2": {"region": "b"}, "n3": {"region": "a"}}, {}, pairs("a>b", "b>a")),
        ({"a/z/s": 3, "b/z": 1}, {}, pairs("a>b", "b>a")),
        (["a"], {}, []),
        ([], {}, []),
    ],
)
def test_pairs(places: t.Any, options: dict[str, t.Any], wanted: list[dict[str, str]]) -> None:
    assert failover_rules(places, **options) == wanted


@pytest.mark.parametrize(
    ("places", "options", "expected"),
    [
        ("a,b", {}, "A list of regions is needed"),
        ([1], {}, r"\[0\]: 1 is neither"),
        (["a", {"zone": "z"}], {}, r"\[1\]: .* is neither"),
        (["a", "/z"], {}, r"\[1\]: '/z' names no region"),
        (["a", "b"], {"shape": "star"}, "shape: 'star' is not one of ring, primary"),
        (["a", "b"], {"prefer": {"a": "c"}}, "prefer: region 'c' is not among a, b"),
        (["a", "b"], {"prefer": {"a": "a"}}, "prefer: region 'a' cannot fail over to itself"),
    ],
)
def test_bad_places(places: t.Any, options: dict[str, t.Any], expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        failover_rules(places, **options)


def test_rendering_completes_from_given_endpoints() -> None:
    options = {"namespace": "s", "service_host": "h", "complete": True}
    assert checked(options, {"a/b/c": 3, "d": 1}).outlier_detection["max_ejection_percent"] == 75
    with pytest.raises(InvalidInput, match="no cluster to count endpoints in"):
        checked(options, None)
    with pytest.raises(InvalidInput, match=r"endpoints\[a\]: 'x' is not a number"):
        checked(options, {"a": "x"})
