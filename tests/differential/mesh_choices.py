# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The choices of the generated meshes, and the few names that they are made of.

Few regions, labels and moments: what differs often and what is equal often must both be common.
"""

from __future__ import annotations

import typing as t
from random import Random

Json = dict[str, t.Any]

REGIONS, ZONES, SUBZONES = ("r1", "r2", "r3"), ("z1", "z2"), ("s1", "s2", "")
NAMESPACES = ("a", "b", "istio-system")
REGION, ZONE, SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"
NETWORK = "topology.istio.io/network"
DISTRIBUTIONS = ("PreferSameZone", "PreferSameNode", "PreferClose", "prefersamezone", "Anything", "")


class Dice:
    """Random choices; the same numbers make the same choices."""

    def __init__(self, random: Random) -> None:
        self.random = random

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random.random() < probability

    def pick(self, options: t.Sequence[t.Any]) -> t.Any:
        """One of the options; what is to be common stands there several times."""
        return self.random.choice(options)

    def several(self, options: t.Sequence[t.Any], low: int, high: int) -> list[t.Any]:
        """From `low` to `high` of the options, the same one perhaps twice."""
        return [self.pick(options) for _number in range(self.random.randint(low, high))]

    def created(self) -> str:
        """Few moments, so that equal ages are common."""
        return f"2026-01-0{self.random.randint(1, 4)}T00:00:00Z"

    def exports(self) -> list[str]:
        """An `exportTo`; empty is a list, too."""
        return list(self.pick(([], [], ["*"], ["."], ["a"], ["b"], ["a", "b"], [".", "b"], ["istio-system"], ["~"])))


def istio(kind: str, namespace: str, name: str, spec: Json, **metadata: t.Any) -> Json:
    """Return one of Istio's objects."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec,
    }
