# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why Envoy answers requests with an error before anything is lost, by code: its sentences are made here only.

Programs look at codes. A code stays as it is once it was released; a sentence may be put better.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._model.coded_sentence import CodedSentence, filled
from ansible_collections.meshops.locality.plugins.module_utils._model.unchecked import (
    CANNOT_END_MUTUAL_TLS,
    NEED_MUTUAL_TLS,
)

_ALL_ENDPOINTS = "all endpoints of {host} refuse it"

#: Code → the sentence, without a full stop; parameters are in braces.
TEXTS: t.Mapping[str, str] = {
    "route-aborts": "{route} aborts {percent} % of the requests",
    "route-answers": "{route} answers {status} itself",
    "no-route": "no route takes them: Envoy answers 404",
    "registry-only": "no route of Envoy has the host, and {setting} is REGISTRY_ONLY",
    "no-destination": "{route} has no destination",
    "no-such-cluster": "{route} leads to {destination}, which there is not: Envoy answers {status}",
    "no-such-tcp-cluster": "{route} leads to {destination}, which there is not: connections end at once",
    "endpoints-cannot-end-mutual-tls": f"{CANNOT_END_MUTUAL_TLS}: {_ALL_ENDPOINTS}",
    "endpoints-need-mutual-tls": f"{NEED_MUTUAL_TLS}: {_ALL_ENDPOINTS}",
}


class RequestError(CodedSentence):
    """Why requests are answered with an error."""


def request_error(code: str, **parameters: object) -> RequestError:
    """Return why requests fail; the code is in TEXTS, and so are the names of its parameters."""
    return RequestError(code, *filled(TEXTS[code], parameters))
