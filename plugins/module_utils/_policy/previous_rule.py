# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was there before a policy was written over it, in an annotation of the very object.

It goes into the cluster in the same request as the change, so there is never a change without it.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, LocalityError

Json = dict[str, t.Any]

#: On a DestinationRule or VirtualService: what of it was somebody else's before, and whose.
PREVIOUS_ANNOTATION = "meshops.locality/previous"
#: Kubernetes takes 256 KiB of annotations in all (apimachinery pkg/api/validation, TotalAnnotationSizeLimitB).
_MOST_BYTES = 200 * 1024


@dataclass(frozen=True)
class Previous:
    """`spec` as it was, the field manager that owned it, and the digest of the spec that the policy made of it.

    `whole`: the object was somebody else's. Else the policy had made it, and `spec` has only the fields of others that
    the policy has taken over by force since.
    """

    spec: Json
    manager: str
    written: str
    whole: bool = True

    @classmethod
    def of(cls, manifest: Json | None) -> Previous | None:
        """Read it from an object; None without. Raises LocalityError when somebody has damaged it."""
        metadata = (manifest or {}).get("metadata") or {}
        text = (metadata.get("annotations") or {}).get(PREVIOUS_ANNOTATION)
        if not text:
            return None
        try:
            data = json.loads(text)
            spec, manager, written = data["spec"], data["manager"], data["written"]
            whole = data.get("whole", True)
            if not (isinstance(spec, dict) and isinstance(manager, str) and isinstance(written, str)):
                raise TypeError("spec must be an object, manager and written strings")
            if not isinstance(whole, bool):
                raise TypeError("whole must be true or false")
        except (ValueError, TypeError, KeyError) as error:
            name = f"{metadata.get('namespace')}/{metadata.get('name')}"
            raise LocalityError(
                f"The annotation {PREVIOUS_ANNOTATION} of {name} cannot be read: {error!r}.",
                do="Repair it, or remove it to forget what was there before.",
            ) from error
        return cls(spec, manager, written, whole)

    def text(self) -> str:
        """Return the annotation's value. Raises InvalidInput when Kubernetes would not take so much."""
        data = {"spec": self.spec, "manager": self.manager, "written": self.written}
        text = json.dumps(data if self.whole else {**data, "whole": False}, separators=(",", ":"), sort_keys=True)
        if len(text.encode()) > _MOST_BYTES:
            raise InvalidInput(
                "The rule that is there is too large to be written down before it is changed (200 KiB).",
                do="Save it, delete it, then run again.",
            )
        return text


def previous_of(live: Json | None, after: Json, manager: str) -> Previous | None:
    """Return what has to be written down with a change; None when nothing of anybody else's is changed.

    `live` is the object now, `after` as it will be, `manager` our field manager. Of somebody else's object it is the
    whole spec; once written down, that stays. Its digest follows our own changes; when somebody else changed the spec
    in between, it stays behind, and shows that. Of an object that the policy has made, it is the fields of others that
    get another value now.
    """
    if live is None:
        return None
    known = Previous.of(live)
    written = digest(after.get("spec"))
    if known and known.whole:
        untouched = digest(live.get("spec")) == known.written
        return replace(known, written=written if untouched else known.written)
    owners = spec_owners(live)
    if manager not in owners and not known:
        return Previous(live.get("spec") or {}, owners[0] if owners else "unknown", written)
    lost = _differing(spec_of_others(live, manager), after.get("spec") or {})
    if known:
        return replace(known, spec=_combined(known.spec, lost), written=written)
    if not lost:
        return None
    return Previous(lost, next(owner for owner in owners if owner != manager), written, whole=False)


def spec_of_others(manifest: Json, manager: str) -> Json:
    """Return the part of the spec that other field managers own, from `metadata.managedFields`.

    Source: Kubernetes documentation, "Server-Side Apply", and API reference, FieldsV1.
    """
    part: Json = {}
    for entry in manifest["metadata"].get("managedFields") or []:
        if entry.get("manager") != manager and not entry.get("subresource"):
            fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
            part = _combined(part, _owned(manifest.get("spec") or {}, fields))
    return part


def without(spec: Json, owned: Json) -> Json:
    """Return a part of a spec but for the fields that `owned` has as well."""
    rest: Json = {}
    for key, value in spec.items():
        if key not in owned:
            rest[key] = value
        elif isinstance(value, dict) and isinstance(owned[key], dict) and (inner := without(value, owned[key])):
            rest[key] = inner
    return rest


def _owned(live: Json, fields: Json) -> Json:
    """Return what a field set names of an object; a list is taken whole."""
    part: Json = {}
    for key, inner in fields.items():
        name = key.removeprefix("f:")
        if key.startswith("f:") and name in live:
            value = live[name]
            part[name] = _owned(value, inner) if isinstance(value, dict) and inner else value
    return part


def _differing(part: Json, spec: Json) -> Json:
    """Return the fields of a part that a spec has not, or with another value."""
    differing: Json = {}
    for key, value in part.items():
        if isinstance(value, dict) and isinstance(spec.get(key), dict):
            if inner := _differing(value, spec[key]):
                differing[key] = inner
        elif key not in spec or spec[key] != value:
            differing[key] = value
    return differing


def _combined(part: Json, other: Json) -> Json:
    both = dict(part)
    for key, value in other.items():
        mine = both.get(key)
        both[key] = _combined(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return both


def spec_owners(manifest: Json) -> list[str]:
    """Return the field managers that own something of the spec, the one that wrote last first."""
    entries = [e for e in manifest["metadata"].get("managedFields") or [] if "f:spec" in (e.get("fieldsV1") or {})]
    entries.sort(key=lambda entry: str(entry.get("time", "")), reverse=True)
    return list(dict.fromkeys(str(entry.get("manager")) for entry in entries))


def digest(spec: t.Any) -> str:
    """Return what tells two specs apart."""
    return hashlib.sha256(json.dumps(spec or {}, sort_keys=True).encode()).hexdigest()[:16]


def merge_difference(live: t.Any, wanted: t.Any) -> Json:
    """Return the JSON merge patch (RFC 7386) that makes `wanted` of `live`; lists are replaced whole."""
    patch: Json = {key: None for key in live if key not in wanted}
    for key, value in wanted.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            if inner := merge_difference(live[key], value):
                patch[key] = inner
        elif key not in live or live[key] != value:
            patch[key] = value
    return patch
