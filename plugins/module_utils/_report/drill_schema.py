# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What drill.json holds: the JSON schema of the document that a drill ends with, and a check against it.

Pure. The schema is published as docs/schemas/drill-v1.json; the code is private to this collection.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._drill.phases import OUTCOMES, PHASES
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput

Json = dict[str, t.Any]

#: A change that older readers cannot read gets a new number; new fields do not.
SCHEMA = "meshops.locality/drill/v1"
#: How many problems one error names.
NAMED = 5

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_FLAG: Json = {"type": "boolean"}
_TEXTS: Json = {"type": "array", "items": _TEXT}
_UTC: Json = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
_SHARES: Json = {"type": "object", "additionalProperties": _NUMBER}
_COUNTS: Json = {"type": "object", "additionalProperties": _COUNT}


def _or_null(kind: Json) -> Json:
    return {"anyOf": [kind, {"type": "null"}]}


_MAYBE_NUMBER = _or_null(_NUMBER)
_BOUNDS: Json = {"type": "array", "items": _MAYBE_NUMBER, "minItems": 2, "maxItems": 2}


def _object(required: t.Mapping[str, Json], **optional: Json) -> Json:
    """Return the schema of an object; keys that it does not name are allowed."""
    return {"type": "object", "required": list(required), "properties": {**required, **optional}}


def _list(item: Json) -> Json:
    return {"type": "array", "items": item}


def _one_of(*values: str) -> Json:
    return {"enum": list(values)}


def _places(kind: Json) -> Json:
    return _object({"before": kind, "during": kind, "after": kind})


_PREDICTED = {
    "failed_requests": _MAYBE_NUMBER,
    "failed_between": _BOUNDS,
    "seconds_until_shifted": _MAYBE_NUMBER,
    "seconds_between": _BOUNDS,
}
_CODED = _object({"code": _TEXT, "text": _TEXT, "parameters": {"type": "object", "additionalProperties": _TEXT}})
_ENDPOINT = _object(
    {"client": _TEXT, "address": _TEXT, "place": _TEXT, "health": _TEXT},
    pod=_TEXT,
    priority=_COUNT,
    flags=_TEXTS,
)
_PARTS: dict[str, Json] = {
    "schema": {"const": SCHEMA},
    "id": {"type": "string", "pattern": r"^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$"},
    "title": _TEXT,
    "outcome": _one_of(*OUTCOMES),
    "reason": _TEXT,
    "check_mode": _FLAG,
    "started": _UTC,
    "ended": _UTC,
    "seconds": _NUMBER,
    "holder": _TEXT,
    "phases": _list(
        _object(
            {
                "name": _one_of(*PHASES),
                "t": _NUMBER,
                "seconds": _NUMBER,
                "outcome": _one_of("done", "failed", "aborted", "skipped"),
            }
        )
    ),
    "events": _list(
        _object({"t": _NUMBER, "phase": _TEXT, "kind": _TEXT, "message": _TEXT}, client=_TEXT, place=_TEXT, pod=_TEXT)
    ),
    "fault": _object(
        {"name": _TEXT, "undo": _TEXT, "ends_itself": _TEXT, "detection": _TEXTS, "seconds": _MAYBE_NUMBER},
        injected_t=_MAYBE_NUMBER,
        ended_t=_MAYBE_NUMBER,
        dead_mans_switch=_or_null(_object({"armed": _FLAG}, seconds=_MAYBE_NUMBER, reason=_TEXT)),
    ),
    "load": _object(
        {
            "kind": _one_of("probe", "users", "injected"),
            "clients": _list(_object({"name": _TEXT, "place": _TEXT}, node=_TEXT)),
        },
        url=_TEXT,
        rate=_MAYBE_NUMBER,
    ),
    "scope": _object(
        {
            "namespace": _TEXT,
            "service": _TEXT,
            "asked": _TEXTS,
            "pods": _list(
                _object(
                    {"namespace": _TEXT, "name": _TEXT, "uid": _TEXT, "place": _TEXT},
                    address=_TEXT,
                    node=_TEXT,
                    workload=_TEXT,
                    step=_COUNT,
                )
            ),
        },
        host=_TEXT,
        port=_COUNT,
        steps=_list(_object({"asked": _TEXT, "pods": _TEXTS})),
    ),
    "places": _list(_object({"place": _TEXT, "endpoints": _COUNT, "targets": _COUNT})),
    "prediction": _or_null(
        _object(
            {"verdict": _TEXT, **_PREDICTED, "by_place_before": _SHARES, "by_place_after": _SHARES},
            loss=_TEXT,
            until=_TEXT,
            can_be_ejected=_or_null(_FLAG),
            clients=_list(_object({"name": _TEXT, **_PREDICTED}, before=_SHARES, after=_SHARES)),
            capacity=_or_null(_object({"load": _MAYBE_NUMBER, "limit": _MAYBE_NUMBER, "overloaded": _or_null(_FLAG)})),
            assumptions=_list(_CODED),
            unchecked=_list(_CODED),
            problems=_list(_object({"code": _TEXT, "where": _TEXT, "path": _TEXT, "text": _TEXT})),
        )
    ),
    "samples": _object({"columns": _TEXTS, "rows": _list({"type": "array"})}),
    "measured": _or_null(
        _object(
            {"requests": _COUNT, "failed": _COUNT, "failed_ratio": _MAYBE_NUMBER, "by_place": _places(_COUNTS)},
            by_code=_COUNTS,
            by_flag=_COUNTS,
            failed_by_place=_COUNTS,
            latency_ms=_places(_or_null(_object({"p50": _MAYBE_NUMBER, "p99": _MAYBE_NUMBER}))),
            first_error_t=_MAYBE_NUMBER,
            first_ejection_t=_MAYBE_NUMBER,
            first_success_elsewhere_t=_MAYBE_NUMBER,
            all_shifted_t=_MAYBE_NUMBER,
            restored_t=_MAYBE_NUMBER,
            failed_back_t=_MAYBE_NUMBER,
            time_to_detect=_MAYBE_NUMBER,
            time_to_inject=_MAYBE_NUMBER,
            time_to_shift=_MAYBE_NUMBER,
            time_to_restore=_MAYBE_NUMBER,
            witnesses=_object(
                {}, probe=_or_null(_FLAG), counters=_or_null(_FLAG), disagreements=_TEXTS, unavailable=_TEXTS
            ),
            bystanders=_or_null(
                _object({}, watched=_COUNT, requests=_COUNT, errors=_COUNT, hurt=_TEXTS, unavailable=_TEXTS)
            ),
        )
    ),
    "shifts": _list(
        _object(
            {
                "client": _TEXT,
                "mechanism": _one_of("ejection", "eds_health", "eds_removal", "retry", "none"),
                "evidence": _TEXT,
            },
            pod=_TEXT,
            address=_TEXT,
            place=_TEXT,
            t=_MAYBE_NUMBER,
        )
    ),
    "endpoints": _places(_list(_ENDPOINT)),
    "criteria": _list(
        _object(
            {"name": _TEXT, "wanted": _TEXT, "observed": _TEXT, "passed": _or_null(_FLAG)},
            limit=_MAYBE_NUMBER,
            value=_MAYBE_NUMBER,
            unit=_TEXT,
        )
    ),
    "gate": _list(_object({"rule": _TEXT, "passed": _or_null(_FLAG), "what": _TEXT, "do": _TEXT})),
    "restore": _or_null(
        _object(
            {"done": _FLAG},
            seconds=_MAYBE_NUMBER,
            pods=_list(
                _object({"pod": _TEXT}, uid_same=_or_null(_FLAG), restarts=_or_null(_COUNT), proof=_TEXT, error=_TEXT)
            ),
            snapshot=_or_null(
                _object(
                    {
                        "compared": _COUNT,
                        "differences": _list(
                            _object(
                                {"object": _TEXT, "field": _TEXT, "before": {}, "after": {}, "expected": _FLAG},
                            )
                        ),
                    }
                )
            ),
        )
    ),
    "environment": _object({}, collection=_TEXT, kubernetes=_TEXT, istio=_TEXT, envoy=_TEXT, repeat=_TEXT),
    "findings": _list(_object({"severity": _one_of("error", "warning", "info"), "what": _TEXT}, do=_TEXT, fix=_TEXT)),
    "journal": _list(_object({"phase": _TEXT, "what": _TEXT, "time": _UTC})),
}
_OPTIONAL: dict[str, Json] = {
    "references": _or_null(
        _object(
            {},
            ticket=_TEXT,
            function=_TEXT,
            rto_seconds=_MAYBE_NUMBER,
            owner=_TEXT,
            due=_TEXT,
            third_parties=_TEXTS,
            note=_TEXT,
        )
    ),
    "previous": _or_null(
        _object(
            {"id": _TEXT, "outcome": _one_of(*OUTCOMES)},
            ended=_UTC,
            failed_ratio=_MAYBE_NUMBER,
            time_to_shift=_MAYBE_NUMBER,
        )
    ),
}


def schema() -> Json:
    """Return the JSON schema (draft 2020-12) of drill.json."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
        "description": "A drill of meshops.locality: what was asked, predicted, done, seen and put back. `t` is in "
        "seconds since `started`; a place is region/zone/subzone; null is unknown or did not happen.",
        **_object(_PARTS, **_OPTIONAL),
    }


def check(document: t.Any) -> None:
    """Raise InvalidInput, with the paths of what is wrong, when a document does not fit the schema."""
    problems = list(_problems(document, _object(_PARTS, **_OPTIONAL), ""))
    if problems:
        more = f" and {len(problems) - NAMED} more" if len(problems) > NAMED else ""
        raise InvalidInput(
            f"This is no drill of {SCHEMA}: {'; '.join(problems[:NAMED])}{more}.",
            do="Give drill.json of a drill, or what failover_drill returned under `drill`.",
        )


_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (int, float),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list, tuple),
    "object": (dict,),
    "null": (type(None),),
}


def _problems(value: t.Any, kind: t.Mapping[str, t.Any], path: str) -> t.Iterator[str]:
    """Yield what of the schema's own vocabulary a value breaks. Controllers have no JSON schema library."""
    where = path or "the document"
    if "anyOf" in kind:
        if not any(next(_problems(value, option, path), None) is None for option in kind["anyOf"]):
            yield from _problems(value, kind["anyOf"][0], path)
        return
    if "const" in kind and value != kind["const"]:
        yield f"{where} is {value!r}, not {kind['const']!r}"
    if "enum" in kind and value not in kind["enum"]:
        yield f"{where} is {value!r}, not one of {', '.join(kind['enum'])}"
    wanted = kind.get("type")
    if wanted:
        is_flag = isinstance(value, bool) and wanted != "boolean"
        if is_flag or not isinstance(value, _KINDS[wanted]):
            yield f"{where} has to be of type {wanted}, not {type(value).__name__}"
            return
    if kind.get("minimum") is not None and value < kind["minimum"]:
        yield f"{where} is {value!r}, less than {kind['minimum']}"
    if wanted == "object":
        yield from (f"{where} has no {name}" for name in kind.get("required", ()) if name not in value)
        for name, member in value.items():
            inner = kind.get("properties", {}).get(name, kind.get("additionalProperties"))
            if inner:
                yield from _problems(member, inner, f"{path}.{name}" if path else str(name))
    elif wanted == "array" and kind.get("items"):
        for index, member in enumerate(value):
            yield from _problems(member, kind["items"], f"{path}[{index}]")
