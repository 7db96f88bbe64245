# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was there before a policy was written over it, kept in an annotation of the very object.

It goes into the cluster in the same request as the change, so there is never a change without it.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import dataclass

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, LocalityError

Json = dict[str, t.Any]

#: On a DestinationRule that somebody else had made before: what its spec was, and who owned it.
PREVIOUS_ANNOTATION = "meshops.locality/previous"
#: Kubernetes takes 256 KiB of annotations in all (apimachinery pkg/api/validation, TotalAnnotationSizeLimitB).
_MOST_BYTES = 200 * 1024


@dataclass(frozen=True)
class Previous:
    """`spec` as it was, the field manager that owned it, and the digest of the spec that the policy made of it."""

    spec: Json
    manager: str
    written: str

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
            if not (isinstance(spec, dict) and isinstance(manager, str) and isinstance(written, str)):
                raise TypeError("spec must be an object, manager and written strings")
        except (ValueError, TypeError, KeyError) as error:
            name = f"{metadata.get('namespace')}/{metadata.get('name')}"
            raise LocalityError(
                f"The annotation {PREVIOUS_ANNOTATION} of {name} cannot be read: {error!r}.",
                do="Repair it, or remove it to forget what was there before.",
            ) from error
        return cls(spec, manager, written)

    def text(self) -> str:
        """Return the annotation's value. Raises InvalidInput when Kubernetes would not take so much."""
        text = json.dumps(
            {"spec": self.spec, "manager": self.manager, "written": self.written}, separators=(",", ":"), sort_keys=True
        )
        if len(text.encode()) > _MOST_BYTES:
            raise InvalidInput(
                "The rule that is there is too large to be written down before it is changed (200 KiB).",
                do="Save it, delete it, then run again.",
            )
        return text


def previous_of(live: Json | None, after: Json, manager: str) -> Previous | None:
    """Return what has to be written down with a change; None when nobody else's object is changed.

    `live` is the object now, `after` as it will be, `manager` our field manager. What has been written down once stays.
    The digest follows our own changes; when somebody else changed the spec in between, it stays behind, and shows that.
    """
    if live is None:
        return None
    known = Previous.of(live)
    if known:
        untouched = digest(live.get("spec")) == known.written
        return Previous(known.spec, known.manager, digest(after.get("spec")) if untouched else known.written)
    owners = spec_owners(live)
    if manager in owners:
        return None
    return Previous(live.get("spec") or {}, owners[0] if owners else "unknown", digest(after.get("spec")))


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
