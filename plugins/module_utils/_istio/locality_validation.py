# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod says about localityLbSetting and zoneAwareLbSetting.

Source: istio 1.31 pkg/config/validation/agent/validation.go (ValidateLocalityLbSetting, ValidateZoneAwareLbSetting,
validateLocalities).

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import itertools
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._istio.api_messages import Typed
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_texts import CodedText, coded
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_verdict import (
    Said,
    Verdict,
    error,
    warning,
)
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import PLACE_LABELS


def locality_lb(setting: Typed, *, outlier: bool) -> Said:
    """Say what istiod says about a decoded localityLbSetting. `outlier`: the same block has outlierDetection."""
    failover, distribute = setting.get("failover", ()), setting.get("distribute", ())
    if distribute and failover:
        yield from error("failover", coded("distribute-and-failover"))
        return
    for index, key in enumerate(setting.get("failoverPriority", ()) if failover else ()):
        if key in PLACE_LABELS:
            yield from error(f"failoverPriority[{index}]", coded("failover-and-topology-key", key))
            return
    for index, entry in enumerate(distribute):
        path, to = f"distribute[{index}].to", entry.get("to", {})
        bad = next((place for place, weight in to.items() if not 1 <= weight <= 100), None)
        if bad is not None:
            yield from error(f"{path}[{bad}]", coded("weight-range"))
            return
        if sum(to.values()) != 100:
            yield from error(path, coded("weight-sum", sum(to.values())))
            return
        yield from _unordered(list(to), path)
    yield from _ordered([entry.get("from", "") for entry in distribute], "distribute[{}].from")
    yield from _without_outlier(setting, outlier)
    yield from _regions(failover, "failover")


def zone_aware(setting: Typed, *, outlier: bool) -> Said:
    """Say what istiod 1.31 says about a decoded zoneAwareLbSetting."""
    for index, key in enumerate(setting.get("failoverPriority", ())):
        if key in PLACE_LABELS:
            yield from error(f"failoverPriority[{index}]", coded("zone-aware-topology-key", key))
    yield from _without_outlier(setting, outlier)
    yield from _regions(setting.get("failover", ()), "zone-aware")


def _without_outlier(setting: Typed, outlier: bool) -> Said:
    if not outlier and (setting.get("failover") or setting.get("failoverPriority")):
        field = "failover" if setting.get("failover") else "failoverPriority"
        yield from warning(field, coded("failover-without-outlier-detection"))


def _regions(failover: t.Sequence[Typed], setting: str) -> Said:
    for index, entry in enumerate(failover):
        origin, target = entry.get("from", ""), entry.get("to", "")
        path = f"failover[{index}]"
        if origin == target:
            yield from error(f"{path}.to", coded(f"{setting}-same-region"))
        for sign, code in (("/", "not-region"), ("*", "wildcard")):
            if sign in origin or sign in target:
                yield from error(f"{path}.{'from' if sign in origin else 'to'}", coded(f"{setting}-{code}"))


def alone(locality: str) -> CodedText | None:
    """Return what is wrong with a locality of distribute by itself, None for nothing."""
    if "*" in locality and (locality.count("*") > 1 or not locality.endswith("*")):
        return coded("locality-wildcard", locality)
    if not all(locality.split("/", 2)):
        return coded("locality-empty-part", locality)
    return None


def refuses(before: str, after: str) -> bool:
    """Whether istiod refuses a locality behind another one; the other way round it may accept both."""
    if before == "*":
        return True
    earlier, other = before.split("/", 2), after.split("/", 2)
    common = min(len(earlier), len(other))
    if earlier[:common] == other[:common]:
        return True
    # `a/*` stands for all zones of a, when it comes first.
    return (
        len(earlier) > 1
        and earlier[-1] == "*"
        and len(earlier) <= len(other)
        and earlier[:-1] == other[: len(earlier) - 1]
    )


def _ordered(places: t.Sequence[str], path: str) -> Said:
    """Only the first problem of a list is reported."""
    for index, place in enumerate(places):
        refusal, overlap = alone(place), coded("locality-overlap", place)
        # A star in the wrong place is reported first, empty parts last.
        first = "*" in places[:index] and not (refusal and refusal.code == "locality-wildcard")
        if first or (not refusal and any(refuses(before, place) for before in places[:index])):
            refusal = overlap
        if refusal:
            yield from error(path.format(index), refusal)
            return


def _unordered(places: t.Sequence[str], path: str) -> Said:
    """istiod goes through `to` in random order: what overlaps in one order only is refused by chance."""
    for place in places:
        if refusal := alone(place):
            yield from error(f"{path}[{place}]", refusal)
            return
    for place, other in itertools.combinations(places, 2):
        refusal = coded("locality-overlap", other)
        if refuses(place, other) and refuses(other, place):
            yield from error(f"{path}[{other}]", refusal)
            return
    for place, other in itertools.combinations(places, 2):
        if refuses(place, other) or refuses(other, place):
            yield Verdict("chance", f"{path}[{other}]", coded("locality-overlap", other))
            return
