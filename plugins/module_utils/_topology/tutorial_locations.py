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
    HOSTNAME_LABEL,
    LEGACY_REGION_LABEL,
    LEGACY_ZONE_LABEL,
    PLACE_LABELS,
    SUBZONE_LABEL,
    Locality,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.workload_problems import is_ready

Json = dict[str, t.Any]
Places = t.Mapping[str, t.Mapping[str, t.Any]]

#: What the tutorial calls them, for nodes that nobody has placed yet.
TUTORIAL = {
    "beijing": Locality("cn-north-4", "cn-north-4b", "beijing"),
    "tianjin": Locality("cn-north-4", "cn-north-4b", "tianjin"),
    "shenyang": Locality("cn-north-4", "cn-north-4b", "shenyang"),
    "guangzhou": Locality("cn-south-1", "cn-south-1a", "guangzhou"),
}
#: Of three nodes one is the region beyond: so a failover in the region and one out of it can both be seen.
FEWER = {2: ("beijing", "tianjin"), 3: ("beijing", "tianjin", "guangzhou")}
LOCAL = "tianjin"
#: A local place and a neighbour, or a place beyond.
FEWEST = 2
#: As in the tutorial: three places in the home region, one beyond.
MOST_AT_HOME, MOST_BEYOND = 3, 1
WANTED = "Set node_topology_nodes: a map of node names to region, zone and subzone."


class _Choice(t.NamedTuple):
    """{location: its locality}, the node label that a location is a value of, {node: the locality it is labelled with},
    and sentences about nodes that are left out."""

    places: t.Mapping[str, Locality]
    location_label: str
    labelled: t.Mapping[str, Locality]
    left_out: tuple[str, ...] = ()


def tutorial_locations(
    nodes: t.Sequence[Json],
    wanted: Places | None = None,
    subzones: bool = False,
    before: t.Mapping[str, t.Mapping[str, str]] | None = None,
) -> Json:
    """Choose the places of the tutorial.

    `nodes` are Node objects; `wanted` is a map {node: {region, zone, subzone}} that decides when it is not empty.
    Otherwise nodes with a region and a zone are taken as they are, one of each locality, and get no label; with
    `subzones` those without a subzone get their own name as one, so that nodes of one zone are places of their own.
    Only where no node carries a topology label, the first four that take pods get the tutorial's names.
    `before`: {node: topology labels} that these nodes are given back before the tutorial begins.

    Returns `plays` (whether there are two places), `nodes` (the map to label), `region` and `beyond` (region names;
    `beyond` is empty when there is only one), `local`, `neighbours` and `remote` (locations: values of the node label
    `location_label`), `fallback` (where requests go when the local place is lost: the neighbours, or else the remote
    locations), `locality` {location: "region/zone/subzone"}, `scope` (the local place as a scope of a drill), `labels`
    {node: the topology labels it carries now, of those to label}, `loss` (all nodes that take pods, as one loss of a
    forecast), `left_out` (sentences: what is not shown or not used, and why).
    Raises InvalidInput when no node takes pods, or when `wanted` has too few or ambiguous places.
    """
    carried = {node["metadata"]["name"]: _topology_labels(node) for node in nodes}
    carried.update({name: dict(labels) for name, labels in (before or {}).items() if name in carried})
    workers = sorted(node["metadata"]["name"] for node in nodes if _takes_pods(node))
    if wanted:
        choice = _as_wanted(wanted)
    elif not workers:
        raise InvalidInput(
            f"The tutorial needs nodes that take pods, this cluster has none: {_names(sorted(carried)) or 'no node'}.",
            do="Nodes that are cordoned, tainted or not Ready take no pods.",
        )
    else:
        hosts = {node["metadata"]["name"]: _host_name(node) for node in nodes}
        choice = _choice_of({name: carried[name] for name in workers}, hosts, subzones)
    regions: dict[str, list[str]] = {}
    for location, place in choice.places.items():
        regions.setdefault(place.region, []).append(location)
    home = max(regions, key=lambda region: len(regions[region]), default="")
    beyond = next((region for region in regions if region != home), "")
    at_home, remote = regions.get(home, []), regions.get(beyond, [])
    local = LOCAL if LOCAL in at_home else next(iter(at_home), "")
    neighbours = [location for location in at_home if location != local]
    plays = len(choice.places) >= FEWEST
    if wanted and not plays:
        raise InvalidInput(f"The tutorial needs at least two places, node_topology_nodes has {len(wanted)}.", do=WANTED)
    labelled = choice.labelled if plays else {}
    return {
        "plays": plays,
        "nodes": {
            name: {"region": place.region, "zone": place.zone, "subzone": place.subzone}
            for name, place in labelled.items()
        },
        "region": home,
        "beyond": beyond,
        "local": local,
        "neighbours": neighbours,
        "remote": remote,
        "fallback": neighbours or remote,
        "locality": {location: str(place) for location, place in choice.places.items()},
        "location_label": choice.location_label,
        "scope": _scope(choice.places[local]) if local else "",
        "labels": {
            name: {label: value for label, value in carried[name].items() if label in PLACE_LABELS}
            for name in labelled
            if name in carried
        },
        "loss": " + ".join(f"node {name}" for name in workers),
        "left_out": [
            *(_sections_left_out(home, beyond, neighbours) if plays else _nothing_plays(choice.places)),
            *choice.left_out,
            *_takes_none(sorted(carried.keys() - workers) if not wanted else []),
        ],
    }


def _as_wanted(wanted: Places) -> _Choice:
    places = {name: _locality(name, place) for name, place in wanted.items()}
    _refuse_twice(places)
    return _Choice({place.subzone: place for place in places.values()}, SUBZONE_LABEL, places)


def _locality(name: str, place: t.Any) -> Locality:
    if not isinstance(place, t.Mapping) or not all(place.get(part) for part in ("region", "zone", "subzone")):
        raise InvalidInput(
            f"node_topology_nodes: node {name} needs region, zone and subzone for the tutorial, got {place!r}.",
            do="Write all three.",
        )
    return Locality(str(place["region"]), str(place["zone"]), str(place["subzone"]))


def _choice_of(carried: t.Mapping[str, Json], hosts: t.Mapping[str, str], subzones: bool) -> _Choice:
    """Choose among nodes that take pods; `carried` are their topology labels, `hosts` their host names."""
    known = {name: Locality.from_node_labels(labels) for name, labels in carried.items()}
    if not any(known.values()):
        if len(known) < FEWEST:
            return _Choice(known, HOSTNAME_LABEL, {})
        names = FEWER.get(len(known), tuple(TUTORIAL))
        labelled = {node: TUTORIAL[name] for node, name in zip(sorted(known), names, strict=False)}
        unused = _unused(sorted(known)[len(names) :], "four places are enough")
        return _Choice({name: TUTORIAL[name] for name in names}, SUBZONE_LABEL, labelled, unused)
    placed = {name: place for name, place in known.items() if place.region and place.zone}
    unused = _unused(
        [name for name in known if name not in placed],
        "no region or no zone, while other nodes carry topology labels. To include them, set node_topology_nodes",
    )
    if subzones:
        named = {name: place._replace(subzone=place.subzone or name[:63]) for name, place in placed.items()}
        _refuse_twice(named)
        chosen, more = _enough(named)
        labelled = {name: named[name] for name in chosen if not placed[name].subzone}
        return _Choice({named[name].subzone: named[name] for name in chosen}, SUBZONE_LABEL, labelled, (*unused, *more))
    # A zone without a subzone holds those with one: it is no place next to them.
    inside = {place[:2] for place in placed.values() if place.subzone}
    apart = {name: place for name, place in placed.items() if place.subzone or place[:2] not in inside}
    first = {place: name for name, place in reversed(apart.items())}
    chosen, more = _enough({name: place for name, place in apart.items() if first[place] == name})
    same = _unused(
        [name for name, place in placed.items() if first.get(place) != name],
        "in a locality that another node stands for. To tell nodes of one zone apart, set site_subzones=true: it "
        "labels them with their names as subzones until the end",
    )
    return _Choice({hosts[name]: placed[name] for name in chosen}, HOSTNAME_LABEL, {}, (*unused, *same, *more))


def _enough(places: t.Mapping[str, Locality]) -> tuple[list[str], tuple[str, ...]]:
    """Return the nodes of at most four places, zones in turn, and a sentence about the others."""
    regions: dict[str, list[str]] = {}
    for name, place in places.items():
        regions.setdefault(place.region, []).append(name)
    order = sorted(regions, key=lambda region: -len(regions[region]))
    chosen: list[str] = []
    for region, most in zip(order, (MOST_AT_HOME, MOST_BEYOND), strict=False):
        seen: dict[str, int] = {}
        turns = {}
        for name in regions[region]:
            turns[name] = seen[places[name].zone] = seen.get(places[name].zone, 0) + 1
        chosen += sorted(regions[region], key=lambda name: turns[name])[:most]
    return chosen, _unused([name for name in places if name not in chosen], "three places and one beyond are enough")


def _sections_left_out(home: str, beyond: str, neighbours: t.Sequence[str]) -> list[str]:
    if not beyond:
        return [f"Section 4, the loss of a whole region: all places lie in {home}, there is none to fail over to."]
    if not neighbours:
        return [
            "A failover to a neighbour in the region: there is none.",
            f"Section 4, the loss of a whole region: {home} has one place, so section 3.5 is this loss already.",
        ]
    return []


def _nothing_plays(locality: t.Mapping[str, Locality]) -> list[str]:
    where = next((str(place) for place in locality.values() if place), "")
    count = f"one locality, {where}" if where else "one node" if locality else "no node with both a region and a zone"
    why = f"the cluster has {count}, so there is nowhere to fail over to. Nodes in another zone would change that."
    return [f"Everything that is deployed, labelled and drilled: {why}"]


def _takes_none(names: t.Sequence[str]) -> list[str]:
    return list(
        _unused(names, f"{'it takes' if len(names) == 1 else 'they take'} no pods: cordoned, tainted or not Ready")
    )


def _unused(names: t.Sequence[str], why: str) -> tuple[str, ...]:
    return (f"Node{'s' if len(names) > 1 else ''} {_names(names)}: {why}.",) if names else ()


def _names(names: t.Sequence[str]) -> str:
    """Return at most four names and how many more there are."""
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


def _scope(place: Locality) -> str:
    return f"{'subzone' if place.subzone else 'zone'} {place}"


def _topology_labels(node: Json) -> dict[str, str]:
    labels = node["metadata"].get("labels") or {}
    return {
        label: value
        for label, value in labels.items()
        if label in (*PLACE_LABELS, LEGACY_REGION_LABEL, LEGACY_ZONE_LABEL)
    }


def _host_name(node: Json) -> str:
    return str((node["metadata"].get("labels") or {}).get(HOSTNAME_LABEL) or node["metadata"]["name"])


def _takes_pods(node: Json) -> bool:
    spec = node.get("spec") or {}
    if spec.get("unschedulable"):
        return False
    if any(taint.get("effect") in ("NoSchedule", "NoExecute") for taint in spec.get("taints") or []):
        return False
    return is_ready(node)


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
