# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a list of regions to the pairs of `failover`.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain

SHAPES = ("ring", "primary")


def failover_rules(
    places: t.Any, *, shape: str = "ring", prefer: t.Mapping[str, str] | None = None
) -> list[dict[str, str]]:
    """Return [{from, to}], one for each region in `places`.

    `places` is a list of regions, localities `region/zone/subzone` or {region: …}, or a dictionary whose values are
    {region: …} or whose keys are localities. Their order counts, doubles do not.
    `ring`: each region fails over to the next one, the last to the first. `primary`: all to the first, and the first to
    the second. `prefer` {from: to} says otherwise for single regions. Fewer than two regions: no pairs.
    Raises InvalidInput, with the place, for anything else.
    """
    if shape not in SHAPES:
        raise InvalidInput(f"shape: {shape!r} is not one of {', '.join(SHAPES)}.")
    regions = _regions(plain(places))
    wishes = plain(prefer or {})
    for source, target in wishes.items():
        for region in (source, target):
            if region not in regions:
                raise InvalidInput(
                    f"prefer: region {region!r} is not among {', '.join(regions) or 'the places, which are empty'}."
                )
        if source == target:
            raise InvalidInput(f"prefer: region {source!r} cannot fail over to itself.")
    if len(regions) < 2:
        return []
    pairs = []
    for index, region in enumerate(regions):
        default = regions[(index + 1) % len(regions)] if shape == "ring" else regions[0 if index else 1]
        pairs.append({"from": region, "to": wishes.get(region, default)})
    return pairs


def _regions(places: t.Any) -> list[str]:
    if isinstance(places, dict):
        places = list(places.values()) if any(isinstance(value, dict) for value in places.values()) else list(places)
    if not isinstance(places, list):
        raise InvalidInput(f"A list of regions is needed, not {places!r}.")
    regions: list[str] = []
    for index, place in enumerate(places):
        region = place.get("region") if isinstance(place, dict) else place
        if not isinstance(region, str):
            raise InvalidInput(
                f"[{index}]: {place!r} is neither a region, nor a locality, nor a dictionary with a region."
            )
        region = region.split("/")[0]
        if not region or "*" in region:
            raise InvalidInput(f"[{index}]: {place!r} names no region.")
        if region not in regions:
            regions.append(region)
    return regions
