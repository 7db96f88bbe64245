# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies rendered without a cluster.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain
from ansible_collections.meshops.locality.plugins.module_utils._policy.completion import complete
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import Intent
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent_validation import check


def checked(options: t.Mapping[str, t.Any], endpoints: t.Mapping[str, t.Any] | None) -> Intent:
    """Return a legal intent, completed from `endpoints` {locality: number} when it asks for that.

    Raises InvalidInput for what istiod would refuse, and when something is to be completed without endpoints.
    """
    intent = Intent.from_options(options)
    check(intent)
    if not intent.complete:
        return intent
    if not endpoints:
        raise InvalidInput(
            "complete: there is no cluster to count endpoints in.",
            do="Give endpoints={locality: number}, or outlier_detection.max_ejection_percent instead of complete.",
        )
    by_locality: dict[Locality, int] = {}
    for place, given in plain(endpoints).items():
        # Before ansible-core 2.19 what a template gives inside of a dictionary arrives as text.
        number = int(given) if isinstance(given, str) and given.isdecimal() else given
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise InvalidInput(f"endpoints[{place}]: {number!r} is not a number of endpoints.")
        by_locality[Locality.parse(place)] = number
    return complete(intent, by_locality)[0]
