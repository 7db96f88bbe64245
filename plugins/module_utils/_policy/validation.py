# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod refuses, said before anything is sent, with the option's path.

Source of the rules: istio 1.31 pkg/config/validation/validation.go (validateOutlierDetection, validateLoadBalancer,
validateExportTo) and pkg/config/validation/agent/validation.go (ValidateLocalityLbSetting, validateLocalities).

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio.durations import parse_duration
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import Intent
from ansible_collections.meshops.locality.plugins.module_utils._topology.locality import (
    REGION_LABEL,
    SUBZONE_LABEL,
    ZONE_LABEL,
)

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

Problem = tuple[str, str]


def check(intent: Intent) -> None:
    """Raise InvalidInput with every problem of an intent; `details['problems']` lists them as {field, problem}."""
    found = list(problems(intent))
    if found:
        raise InvalidInput(
            " ".join(f"{field}: {problem}." for field, problem in found),
            problems=[{"field": field, "problem": problem} for field, problem in found],
        )


def problems(intent: Intent) -> t.Iterator[Problem]:
    """Yield (option path, what is wrong with it)."""
    yield from _names(intent)
    yield from _localities(intent)
    yield from _outlier_detection(intent)
    yield from _retries(intent)
    if intent.max_requests_per_connection is not None and intent.max_requests_per_connection < 0:
        yield "max_requests_per_connection", "must not be negative"
    names = [str(subset.get("name", "")) for subset in intent.subsets]
    for index, name in enumerate(names):
        if not name:
            yield f"subsets[{index}].name", "is missing"
        elif name in names[:index]:
            yield f"subsets[{index}].name", f"{name!r} is given twice"
    if "*" in intent.export_to and len(intent.export_to) > 1:
        yield "export_to", "'*' means every namespace and cannot stand next to other entries"
    for index, entry in enumerate(intent.export_to):
        if entry in intent.export_to[:index]:
            yield f"export_to[{index}]", f"{entry!r} is given twice"
        elif entry == "." and intent.namespace in intent.export_to:
            yield f"export_to[{index}]", f"'.' is the same as {intent.namespace!r}, which is also given"


def _names(intent: Intent) -> t.Iterator[Problem]:
    skip = None
    if not intent.host or not _is_host(intent.host):
        skip = intent.host.split(".")[0]
        told = "is not a DNS name (a '*' may only be its whole first part)"
        yield "service_host", f"{intent.host!r} {told}" if intent.host else "is missing"
    elif intent.name == "*":
        skip = "*"
        yield "name", f"is needed, because none can be made of the host {intent.host!r}"
    names = {intent.name: "name", intent.virtual_service_name: "virtual_service_name"}
    if intent.name == intent.virtual_service_name:
        names = {intent.name: "name"}
    for name, option in names.items():
        legal = len(name) <= 253 and all(_LABEL.fullmatch(part) for part in name.split("."))
        if not legal and name != skip:
            yield option, f"{name!r} is not a legal object name (lower case letters, digits, '-' and '.')"
    if not _LABEL.fullmatch(intent.namespace):
        yield "namespace", f"{intent.namespace!r} is not a legal namespace name"


def _is_host(host: str) -> bool:
    first, *rest = host.removesuffix(".").split(".")
    parts = rest if first == "*" else [first, *rest]
    return len(host) <= 255 and all(
        re.fullmatch(r"[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?", part) for part in parts
    )


def _localities(intent: Intent) -> t.Iterator[Problem]:
    if intent.distribute and intent.failover:
        yield "failover", "cannot stand next to distribute: Istio takes one of the two"
    for index, key in enumerate(intent.failover_priority):
        if not key:
            yield f"failover_priority[{index}]", "is empty"
        elif intent.failover and key in (REGION_LABEL, ZONE_LABEL, SUBZONE_LABEL):
            yield f"failover_priority[{index}]", f"{key} cannot stand next to failover, which orders by it already"
    for index, entry in enumerate(intent.failover):
        for side in ("from", "to"):
            yield from _region(f"failover[{index}].{side}", str(entry[side]))
        if entry["from"] == entry["to"]:
            yield f"failover[{index}].to", f"is the same region as from ({entry['to']!r}): name another one"
    yield from _overlaps([(f"distribute[{i}].from", str(entry["from"])) for i, entry in enumerate(intent.distribute)])
    for index, entry in enumerate(intent.distribute):
        yield from _shares(f"distribute[{index}].to", entry["to"])


def _region(path: str, region: str) -> t.Iterator[Problem]:
    if not region:
        yield path, "is empty: name a region"
    elif "/" in region:
        yield path, f"{region!r} must be a region only: zones and subzones fail over by themselves"
    elif "*" in region:
        yield path, f"{region!r} must not contain a '*'"


def _shares(path: str, to: t.Mapping[str, t.Any]) -> t.Iterator[Problem]:
    weights: list[int] = []
    for locality, weight in to.items():
        try:
            number = int(weight)
        except (TypeError, ValueError):
            yield f"{path}[{locality}]", f"{weight!r} is not a whole number"
            continue
        weights.append(number)
        if not 1 <= number <= 100:
            yield f"{path}[{locality}]", f"{number} is not a weight from 1 to 100"
    if len(weights) == len(to) and sum(weights) != 100:
        yield path, f"the weights add up to {sum(weights)}, not to 100"
    yield from _overlaps([(f"{path}[{locality}]", locality) for locality in to])


def _overlaps(entries: list[tuple[str, str]]) -> t.Iterator[Problem]:
    """Check localities of distribute. Stricter than istiod, whose answer depends on the order of the entries."""
    seen: list[tuple[str, str]] = []
    for path, locality in entries:
        parts = locality.split("/")
        if locality.count("*") > 1 or ("*" in locality and parts[-1] != "*"):
            # istiod accepts `us-*` as well, and then compares it letter by letter: it matches nothing.
            yield path, f"{locality!r}: a '*' may only be the whole last part"
        elif not all(parts) or len(parts) > 3:
            yield path, f"{locality!r} is not region/zone/subzone, or the first parts of it"
        else:
            for other_path, other in seen:
                if _covers(other, locality) or _covers(locality, other):
                    yield path, f"{locality!r} overlaps with {other!r} of {other_path}"
        seen.append((path, locality))


def _covers(wide: str, narrow: str) -> bool:
    prefix = [part for part in wide.split("/") if part != "*"]
    return narrow.split("/")[: len(prefix)] == prefix


def _outlier_detection(intent: Intent) -> t.Iterator[Problem]:
    given = intent.outlier_detection
    for name in ("consecutive_5xx_errors", "consecutive_gateway_errors", "consecutive_local_origin_failures"):
        if given.get(name, 0) < 0:
            yield f"outlier_detection.{name}", "must not be negative"
    for name in ("max_ejection_percent", "min_health_percent"):
        if not 0 <= given.get(name, 0) <= 100:
            yield f"outlier_detection.{name}", f"{given[name]} is not a percentage from 0 to 100"
    for name in ("interval", "base_ejection_time"):
        if name in given:
            yield from duration(f"outlier_detection.{name}", str(given[name]))
    split = given.get("split_external_local_origin_errors", False)
    if given.get("consecutive_local_origin_failures", 0) > 0 and not split:
        yield (
            "outlier_detection.consecutive_local_origin_failures",
            "needs split_external_local_origin_errors: true, else nothing counts local origin failures",
        )


def _retries(intent: Intent) -> t.Iterator[Problem]:
    if intent.retries.get("attempts", 1) < 1:
        yield "retries.attempts", "must be at least 1: Istio turns retries off with 0"
    if "per_try_timeout" in intent.retries:
        yield from duration("retries.per_try_timeout", str(intent.retries["per_try_timeout"]))
    if intent.wants_virtual_service and intent.host.startswith("*"):
        yield "service_host", "retries need a VirtualService, and that cannot route to a wildcard host"


def duration(path: str, text: str) -> t.Iterator[Problem]:
    """Yield what is wrong with a duration: Go's notation, at least 1ms, whole milliseconds."""
    seconds = parse_duration(text)
    if seconds is None:
        yield path, f"{text!r} is not a duration such as 500ms, 1s, 1m30s or 1h"
    elif seconds < 0.001:
        yield path, f"{text!r} must be at least 1ms"
    elif abs(seconds * 1000 - round(seconds * 1000)) > 1e-6:
        yield path, f"{text!r} is more precise than a millisecond"
