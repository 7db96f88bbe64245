# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The trafficPolicy that applies for one port and subset, typed as far as localities depend on it.

Source: istio 1.31 pilot/pkg/networking/util/util.go (GetPortLevelTrafficPolicy, MergeSubsetTrafficPolicy) and
pilot/pkg/model/destination_rule.go (MergeTrafficPolicy).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from collections import abc
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import whole_number
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Json

Part = t.Mapping[str, t.Any]

#: The blocks that a port's own settings replace as a whole.
BLOCKS = ("connectionPool", "loadBalancer", "outlierDetection", "tls")


class BlockOrigin(t.NamedTuple):
    """Where a block of a policy was written: in the mesh's configuration, for a whole rule, or for a subset of it.

    `path` is below that: `defaultTrafficPolicy`, `trafficPolicy`, or `trafficPolicy.portLevelSettings[1]` (`of_port`).
    """

    by: t.Literal["mesh", "rule", "subset"]
    path: str
    of_port: bool = False
    subset: str = ""

    def __str__(self) -> str:
        """For people: `trafficPolicy`, `subsets[v1].trafficPolicy`, `meshConfig.defaultTrafficPolicy`."""
        return {"mesh": "meshConfig.", "rule": "", "subset": f"subsets[{self.subset}]."}[self.by] + self.path


@dataclass(frozen=True)
class Policy:
    """A resolved policy: each block as it was written, None when absent. `origin`: where, for each block that is."""

    connection_pool: Part | None = None
    load_balancer: Part | None = None
    outlier_detection: Part | None = None
    tls: Part | None = None
    origin: t.Mapping[str, BlockOrigin] = field(default_factory=dict)

    @property
    def simple(self) -> str:
        """loadBalancer.simple, '' when absent."""
        value = (self.load_balancer or {}).get("simple")
        return value if isinstance(value, str) else ""

    @property
    def consistent_hash(self) -> Part | None:
        """loadBalancer.consistentHash."""
        return mapping((self.load_balancer or {}).get("consistentHash"))

    @property
    def locality_lb(self) -> Part | None:
        """loadBalancer.localityLbSetting."""
        return mapping((self.load_balancer or {}).get("localityLbSetting"))

    @property
    def zone_aware_lb(self) -> Part | None:
        """loadBalancer.zoneAwareLbSetting (Istio 1.31)."""
        return mapping((self.load_balancer or {}).get("zoneAwareLbSetting"))


def mapping(value: t.Any) -> Part | None:
    """Return an object, None for anything else."""
    return value if isinstance(value, abc.Mapping) else None


def items(value: t.Any) -> t.Sequence[t.Any]:
    """Return a list, an empty one for anything else."""
    return value if isinstance(value, (list, tuple)) else ()


def number(value: t.Any, default: int = 0) -> int:
    """Return a whole number as protobuf's JSON writes it (also as digits in a string), `default` for anything else."""
    whole = whole_number(value)
    return default if whole is None else whole


#: Blocks with where they were written.
_Blocks = dict[str, tuple[Part, BlockOrigin]]


def _port_level(policy: t.Any, port: int, origin: BlockOrigin) -> tuple[_Blocks | None, bool]:
    """Return the blocks of a policy for a port, and whether it has settings for that very port."""
    if not isinstance(policy, abc.Mapping):
        return None, False
    for index, setting in enumerate(items(policy.get("portLevelSettings"))):
        selector = mapping(setting.get("port")) if isinstance(setting, abc.Mapping) else None
        if selector is not None and number(selector.get("number")) == port:
            own = origin._replace(path=f"{origin.path}.portLevelSettings[{index}]", of_port=True)
            return _blocks(setting, own), True
    return _blocks(policy, origin), False


def _blocks(policy: Part, origin: BlockOrigin) -> _Blocks:
    return {name: (value, origin) for name in BLOCKS if isinstance(value := policy.get(name), abc.Mapping)}


def resolve(
    policy: Json | None,
    subset: Json | None,
    port: int,
    default: Part | None = None,
    *,
    subset_name: str = "",
) -> tuple[Policy, Policy]:
    """Return the policy for a port and a subset, as EDS and as CDS see it.

    `policy` is the rule's trafficPolicy, `subset` the entry of its `subsets`. `default` is the mesh's
    defaultTrafficPolicy: istiod 1.31 puts it into clusters (CDS) only, so that EDS orders localities without it.
    """
    base, _own = _port_level(policy, port, BlockOrigin("rule", "trafficPolicy"))
    seeded: _Blocks | None = base
    filled = {
        name: (value, BlockOrigin("mesh", "defaultTrafficPolicy"))
        for name in ("connectionPool", "outlierDetection")
        if isinstance(value := (default or {}).get(name), abc.Mapping) and name not in (base or {})
    }
    if filled:
        seeded = {**filled, **(base or {})}
    inner = (subset or {}).get("trafficPolicy")
    origin = BlockOrigin("subset", "trafficPolicy", subset=subset_name)
    return _typed(_overlay(base, inner, port, origin)), _typed(_overlay(seeded, inner, port, origin))


def _overlay(base: _Blocks | None, subset: t.Any, port: int, origin: BlockOrigin) -> _Blocks:
    if not isinstance(subset, abc.Mapping):
        return base or {}
    own, has_port = _port_level(subset, port, origin)
    if base is None:
        return own or {}
    if has_port:
        return own or {}
    return {**base, **(own or {})}


def _typed(blocks: _Blocks) -> Policy:
    given = {name: blocks[name][0] if name in blocks else None for name in BLOCKS}
    origin = {name: where for name, (_value, where) in blocks.items()}
    return Policy(given["connectionPool"], given["loadBalancer"], given["outlierDetection"], given["tls"], origin)
