# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What istiod refuses, said before anything is sent, with the option's path.

istiod's own rules are those of _istio/validation.py, tried on the objects that an intent becomes.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import re
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio import validation
from ansible_collections.meshops.locality.plugins.module_utils._istio.locality_validation import refuses
from ansible_collections.meshops.locality.plugins.module_utils._istio.validation_verdict import Verdict
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import OPTIONS, Intent, settings
from ansible_collections.meshops.locality.plugins.module_utils._policy.istio_objects import (
    destination_rule,
    virtual_service,
)

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")

Problem = tuple[str, str]

#: Code of what istiod says (_istio/validation_texts.py) → words that fit behind an option's name.
_TEXTS: t.Mapping[str, str] = {
    "domain-missing": "is missing",
    "domain-invalid": "{0} is not a DNS name (a '*' may only be its start)",
    "domain-too-long": "{0} is not a DNS name (a '*' may only be its start)",
    "duration-too-short": "must be at least 1ms",
    "duration-too-precise": "is more precise than a millisecond",
    "type-duration": "{1} is not a duration such as 500ms, 1s, 1m30s or 1h",
    "type-number": "{1} is not a whole number",
    "type-negative": "must not be negative",
    "negative": "must not be negative",
    "percentage-range": "{0} is not a percentage from 0 to 100",
    "local-origin-not-split": (
        "needs split_external_local_origin_errors: true, else nothing counts local origin failures"
    ),
    "subset-name-missing": "is missing",
    "subset-twice": "'{0}' is given twice",
    "export-public-and-other": "'*' means every namespace and cannot stand next to other entries",
    "export-twice": "'{0}' is given twice",
    "export-own-twice": "'.' is the same as '{0}', and both are given",
    "distribute-and-failover": "cannot stand next to distribute: Istio takes one of the two",
    "failover-and-topology-key": "{0} cannot stand next to failover",
    "weight-range": "is not a weight from 1 to 100",
    "weight-sum": "the weights add up to {0}, not to 100",
    "failover-same-region": "is the same region as from: name another one",
    "failover-not-region": "must be a region only: zones and subzones fail over by themselves",
    "failover-wildcard": "must not contain a '*'",
}
#: Said below in other words, and more strictly.
_OURS = (
    *("locality-overlap", "locality-wildcard", "locality-empty-part"),
    *("attempts-negative", "attempts-zero"),
)
_ORDER = list(OPTIONS)


def check(intent: Intent) -> None:
    """Raise InvalidInput with every problem of an intent; `details['problems']` lists them as {field, problem}."""
    problems_found = list(problems(intent))
    if problems_found:
        raise InvalidInput(
            " ".join(f"{field}: {problem}." for field, problem in problems_found),
            problems=[{"field": field, "problem": problem} for field, problem in problems_found],
        )


def problems(intent: Intent) -> t.Iterator[Problem]:
    """Yield (option path, what is wrong with it). Raises InvalidInput when two options set the same field."""
    listed = [*_names(intent), *_localities(intent)]
    rule = destination_rule(intent)
    for said in validation.validate("DestinationRule", intent.namespace, rule["spec"]):
        listed += _translated(_option(intent, said.path), said)
    listed += _retries(intent)
    yield from sorted(listed, key=lambda problem: _ORDER.index(re.split(r"[.\[]", problem[0])[0]))


def _translated(option: str, said: Verdict) -> t.Iterator[Problem]:
    # A field that we do not know may be one of a newer Istio: the API server says so if it is none.
    if not said.refused or said.code in _OURS:
        return
    text = _TEXTS.get(said.code)
    yield option, text.format(*said.parameters) if text else said.message


def _option(intent: Intent, path: str) -> str:
    """Return the option that put a field into the spec of the rule."""
    for field, option in (("host", "service_host"), ("exportTo", "export_to")):
        if path == field or path.startswith(f"{field}["):
            return option + path[len(field) :]
    below = path.removeprefix("trafficPolicy.")
    for option, parts, _value in settings(intent):
        field = ".".join(parts)
        if below == field or below.startswith((f"{field}[", f"{field}.")):
            return option + below[len(field) :]
    if below != path:
        return f"traffic_policy.{below}"
    return "traffic_policy" if path == "trafficPolicy" else path


def _names(intent: Intent) -> t.Iterator[Problem]:
    names = {intent.name: "name", intent.virtual_service_name: "virtual_service_name"}
    if intent.name == intent.virtual_service_name:
        names = {intent.name: "name"}
    if intent.name == "*":
        yield "name", f"is needed, because none can be made of the host {intent.host!r}"
    # A name that was made of a host is wrong because of the host.
    derived = intent.host.split(".")[0] if next(_host(intent), None) else "*"
    for name, option in names.items():
        legal = len(name) <= 253 and all(_LABEL.fullmatch(part) for part in name.split("."))
        if not legal and name not in (derived, "*"):
            yield option, f"{name!r} is not a legal object name (lower case letters, digits, '-' and '.')"
    if not _LABEL.fullmatch(intent.namespace):
        yield "namespace", f"{intent.namespace!r} is not a legal namespace name"


def _host(intent: Intent) -> t.Iterator[Verdict]:
    spec = {"host": intent.host}
    return (said for said in validation.validate("DestinationRule", intent.namespace, spec) if said.path == "host")


def _localities(intent: Intent) -> t.Iterator[Problem]:
    for index, key in enumerate(intent.failover_priority):
        if not key:
            yield f"failover_priority[{index}]", "is empty"
    for index, entry in enumerate(intent.failover):
        for side in ("from", "to"):
            if not entry[side]:
                yield f"failover[{index}].{side}", "is empty: name a region"
    yield from _overlaps([(f"distribute[{i}].from", str(entry["from"])) for i, entry in enumerate(intent.distribute)])
    for index, entry in enumerate(intent.distribute):
        yield from _overlaps([(f"distribute[{index}].to[{locality}]", locality) for locality in entry["to"]])


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
                if refuses(other, locality) or refuses(locality, other):
                    yield path, f"{locality!r} overlaps with {other!r} of {other_path}"
        seen.append((path, locality))


def _retries(intent: Intent) -> t.Iterator[Problem]:
    if intent.retries.get("attempts", 1) < 1:
        yield "retries.attempts", "must be at least 1: Istio turns retries off with 0"
    rule = virtual_service(intent)
    if rule is None:
        return
    if intent.host.startswith("*"):
        yield "service_host", "retries need a VirtualService, and that cannot route to a wildcard host"
    names = {"perTryTimeout": "per_try_timeout", "retryOn": "retry_on", "attempts": "attempts"}
    for said in validation.validate("VirtualService", intent.namespace, rule["spec"]):
        field = said.path.rpartition(".")[2]
        if ".retries." in said.path and field in names:
            yield from _translated(f"retries.{names[field]}", said)
