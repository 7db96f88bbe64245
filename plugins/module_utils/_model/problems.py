# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that cannot be read as it stands, by code: the sentences that people read are made here, and nowhere else.

Programs look at codes. A code stays as it is once it was released; a sentence may be put better.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ansible_collections.meshops.locality.plugins.module_utils._model.coded_sentence import filled

#: Code → what is wrong with the object or field; parameters are in braces.
TEXTS: t.Mapping[str, str] = {
    "unexpected-type": "expected {wanted}, got {value}",
    "missing-name": "is missing, so the object is left out",
    "unprintable-name": "{name} has signs that no name may have, so the object is left out",
    "invalid-name": "{name} is no name that Kubernetes takes: small letters, digits, - and . only",
    "unknown-resolution": "{value} is none of {known}",
    "unknown-requirement": "is no requirement: it needs a key and one of {operators}",
    "key-twice": "the key {key} stands twice in one object; the last one applies",
    "more-keys-twice": "{count} more keys stand twice; the last one applies",
    "object-twice": "stands in {first} and in {second}; the later one applies",
    "no-node-for-replicas": "{missing} of {replicas} replicas find no node. {why}",
    "kind-forbidden": "may not be read{scope} (403): grant the verb '{verb}' on {resource}. Without them {lacking}.",
    "kind-unknown": "the API server does not know {kind} of {api_version} (404). Without them {lacking}.",
    "control-plane-forbidden": "may not be read (403): grant the verb '{verb}'. Without it {lacking} are taken to be "
    "the defaults.",
    "mesh-config-unreadable": "{error} Defaults are assumed.",
    "discovery-selectors-void": "is not a list of label selectors, so it is void",
    "istio-version-unknown": "{error} Here those of {version} were taken.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that cannot be read as it stands: `where` the object, `path` the field in it, `message` a sentence.

    `code` and `parameters`, of which the sentence is made, say the same to programs.
    """

    where: str
    path: str
    message: str
    code: str
    parameters: t.Mapping[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.where, self.path, self.message))

    def __str__(self) -> str:
        return f"{self.where}: {self.path}: {self.message}" if self.path else f"{self.where}: {self.message}"

    def as_json(self) -> dict[str, t.Any]:
        """Return {code, where, path, text, parameters}; the text names the object and the field."""
        return {
            "code": self.code,
            "where": self.where,
            "path": self.path,
            "text": str(self),
            "parameters": dict(self.parameters),
        }


def problem(code: str, where: str, path: str = "", **parameters: object) -> Problem:
    """Return a problem; its code is in TEXTS, and so are the names of its parameters."""
    text, texts = filled(TEXTS[code], parameters)
    return Problem(where, path, text, code, texts)
