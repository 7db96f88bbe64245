# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes of a cluster can play the tutorial: a home region with a local place and neighbours, and a region beyond.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import (
    REGION_LABEL,
    SUBZONE_LABEL,
    ZONE_LABEL,
    Locality,
)

Json = dict[str, t.Any]
Places = t.Mapping[str, t.Mapping[str, t.Any]]

#: What the tutorial calls them, for nodes that nobody has placed yet.
TUTORIAL = (
    Locality("cn-north-4", "cn-north-4b", "beijing"),
    Locality("cn-north-4", "cn-north-4b", "tianjin"),
    Locality("cn-north-4", "cn-north-4b", "shenyang"),
    Locality("cn-south-1", "cn-south-1a", "guangzhou"),
)
LOCAL = "tianjin"
#: A local place and a neighbour. The region beyond, and with it section 4, needs the fourth.
FEWEST = 2
LABELS = (REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL)


def tutorial_locations(nodes: t.Sequence[Json], wanted: Places | None = None) -> Json:
    """Choose the places of the tutorial.

    `nodes` are Node objects; `wanted` is a map {node: {region, zone, subzone}} that decides when given. Otherwise nodes
    that carry a region keep region and zone and get their own name as subzone; where no node carries one, the first
    four workers get the tutorial's names: two or three of them make one region, without one beyond.

    Returns `nodes` (the map to label), `region` and `beyond` (region names; `beyond` is empty when there is only one),
    `local`, `neighbours` and `remote` (subzones), `locality` {subzone: "region/zone/subzone"}, `labels` {node: the
    topology labels it carries now}.
    Raises InvalidInput when there are too few places.
    """
    places = {name: _locality(name, place) for name, place in wanted.items()} if wanted else _found(nodes)
    _refuse_twice(places)
    regions: dict[str, list[Locality]] = {}
    for place in places.values():
        regions.setdefault(place.region, []).append(place)
    home = max(regions, key=lambda region: len(regions[region]), default="")
    if len(regions.get(home, [])) < 2:
        raise InvalidInput(
            f"The tutorial needs a region with at least two places, found {_listed(places)}.",
            do="Give node_topology_nodes: a map of node names to region, zone and subzone.",
        )
    subzones = [place.subzone for place in regions[home]]
    local = LOCAL if LOCAL in subzones else subzones[0]
    beyond = next((region for region in regions if region != home), "")
    return {
        "nodes": {
            name: {"region": place.region, "zone": place.zone, "subzone": place.subzone}
            for name, place in places.items()
        },
        "region": home,
        "beyond": beyond,
        "local": local,
        "neighbours": [subzone for subzone in subzones if subzone != local],
        "remote": [place.subzone for place in regions.get(beyond, [])],
        "locality": {place.subzone: str(place) for place in places.values()},
        "labels": {
            node["metadata"]["name"]: {
                label: value for label, value in (node["metadata"].get("labels") or {}).items() if label in LABELS
            }
            for node in nodes
            if node["metadata"]["name"] in places
        },
    }


def _locality(name: str, place: t.Any) -> Locality:
    if not isinstance(place, t.Mapping) or not all(place.get(part) for part in ("region", "zone", "subzone")):
        raise InvalidInput(
            f"node_topology_nodes: node {name} needs region, zone and subzone for the tutorial, got {place!r}.",
            do="Write all three.",
        )
    return Locality(str(place["region"]), str(place["zone"]), str(place["subzone"]))


def _found(nodes: t.Sequence[Json]) -> dict[str, Locality]:
    workers = [node for node in nodes if _takes_pods(node)]
    known = {
        node["metadata"]["name"]: Locality.from_node_labels(node["metadata"].get("labels") or {}) for node in workers
    }
    placed = {name: place for name, place in known.items() if place.region and place.zone}
    if placed:
        return {name: Locality(place.region, place.zone, place.subzone or name[:63]) for name, place in placed.items()}
    if len(workers) < FEWEST:
        raise InvalidInput(
            f"The tutorial needs {FEWEST} nodes that take pods, this cluster has {len(workers)}: {_listed(known)}.",
            do="With one node there is nothing to fail over to: add nodes, or look with meshops.locality.forecast.",
        )
    return dict(zip(sorted(known), TUTORIAL, strict=False))


def _takes_pods(node: Json) -> bool:
    spec = node.get("spec") or {}
    if spec.get("unschedulable"):
        return False
    if any(taint.get("effect") in ("NoSchedule", "NoExecute") for taint in spec.get("taints") or []):
        return False
    conditions = (node.get("status") or {}).get("conditions") or []
    return any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)


def _refuse_twice(places: t.Mapping[str, Locality]) -> None:
    """A Deployment per location finds its nodes by the subzone alone, as in the tutorial."""
    where: dict[str, Locality] = {}
    for name, place in places.items():
        other = where.setdefault(place.subzone, place)
        if other != place:
            raise InvalidInput(
                f"Subzone {place.subzone} lies in {other} and, on node {name}, in {place}.",
                do="Give every place its own subzone name.",
            )


def _listed(places: t.Mapping[str, Locality]) -> str:
    return ", ".join(f"{name} ({place})" if place else name for name, place in places.items()) or "none"
