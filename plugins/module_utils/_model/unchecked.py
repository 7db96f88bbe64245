# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of an answer was compared with nothing, or is not predicted, by code: its sentences are made here only.

Programs look at codes. A code stays as it is once it was released; a sentence may be put better.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.coded_sentence import CodedSentence, filled

#: Why pods refuse the TLS that a client sends; `setting` is the field that decides what it sends.
CANNOT_END_MUTUAL_TLS = "{setting} sends mutual TLS, which the pods cannot end"
NEED_MUTUAL_TLS = "{setting} sends no mutual TLS, and a PeerAuthentication asks for it (STRICT)"
# Said of all requests, or of some of them.
_ISTIOD_CRASHES = "istiod of this version crashes because of it"
_NOT_BALANCED = "{type}: clients choose the address themselves, Envoy does not balance"
_SOME_ENDPOINTS = "{refusing} of {endpoints} endpoints of {host} refuse it: not judged."
_SOME_REQUESTS = "What becomes of {percent} % of them, to {host}, is not judged"

#: Code → the sentence; parameters are in braces.
TEXTS: t.Mapping[str, str] = {
    # `unchecked` of plans, forecasts, matrices and upgrades: no oracle has compared it, or it cannot be known.
    "istio-version-newer": "Istio {version} is newer than the lines known here: it is computed as {computed_as}, "
    "unchecked.",
    "istio-version-not-compared": "Istio {version} was not compared with its own istiod: it is the nearest compared "
    "line with the documented differences taken back.",
    "istiod-by-chance": "istiod's own answer differs from push to push here, so it is one of several.",
    "other-clusters-missing": "Endpoints of the mesh's other clusters are not in the snapshot, so they are missing "
    "here.",
    "addresses-of-names": "A name may resolve to several addresses, or to none: each is taken for one endpoint here.",
    "hashing-policy": "The shares of {policy} were not compared with Envoy: they are means over many keys.",
    "zone-aware-routing": "Envoy's zone-aware routing inside a region is not computed, so shares within it are not "
    "checked.",
    "istiod-lost": "Every istiod known here is lost with {losses}: until another one runs no Envoy hears that "
    "endpoints are gone, so what ends by readiness ends later.",
    "retries-limited": "connectionPool.http.maxRetries is {number}: what fails because more requests are retried at "
    "the same time is not computed.",
    "field-not-computed": "{field} (since Istio {since}) is not computed: what it changes is missing here.",
    "one-of-several-routes": "Routes to the same destination retry differently; one of them was taken.",
    "host-not-at-gateway": "What the gateway {gateway} does with requests for {host} is not followed: no route of a "
    "Gateway has it.",
    "some-requests-at-gateway": "Of the requests for {host}, the gateway {gateway} treats some in another way; the "
    "others are followed.",
    "some-endpoints-cannot-end-mutual-tls": f"{CANNOT_END_MUTUAL_TLS}: {_SOME_ENDPOINTS}",
    "some-endpoints-need-mutual-tls": f"{NEED_MUTUAL_TLS}: {_SOME_ENDPOINTS}",
    "some-requests-istiod-crashes": f"{_SOME_REQUESTS}: {_ISTIOD_CRASHES}.",
    "some-requests-not-balanced": f"{_SOME_REQUESTS}: {_NOT_BALANCED}.",
    "unready-gateways": "Gateways and waypoints that are not ready take no requests here: {pods}.",
    "endpoints-of-waypoint": "istiod sends gateways the endpoints of the waypoint {waypoint} instead.",
    # `skipped` of forecasts and matrices: requests that are not predicted at all.
    "istiod-crashes": _ISTIOD_CRASHES,
    "not-balanced": _NOT_BALANCED,
    "two-hops": "they pass a gateway, which has a row of its own; a forecast follows both hops",
    "passed-through": "no route of Envoy has the host: it passes requests on to the address that the client asked for",
    "resolved-by-name": "no route of Envoy has the host: it sends requests where DNS says (ALLOW_ANY_DYNAMIC_DNS)",
}


class Unchecked(CodedSentence):
    """Something of an answer that is not checked, or why there is no answer."""


def unchecked(code: str, **parameters: object) -> Unchecked:
    """Return what is not checked; its code is in TEXTS, and so are the names of its parameters."""
    return Unchecked(code, *filled(TEXTS[code], parameters))
