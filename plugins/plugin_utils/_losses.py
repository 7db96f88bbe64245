# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the filters that forecast losses.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._forecast.queries import Ability
from ansible_collections.meshops.locality.plugins.module_utils._policy.intent import plain
from ansible_collections.meshops.locality.plugins.plugin_utils._snapshot import flag, number


def listed(losses: t.Any) -> list[t.Any]:
    """Read the option `losses`: a list of texts, dictionaries or lists of them; one text is a list of one."""
    if losses is None:
        return []
    if isinstance(losses, (str, t.Mapping)):
        return [plain(losses)]
    if not isinstance(losses, (list, tuple)):
        raise InvalidInput(f"losses must be a list, not {type(losses).__name__}.", do="Write: ['zone cn-north-4b'].")
    return t.cast(list[t.Any], plain(losses))


def ability(rate: t.Any, capacity: t.Any, headroom: t.Any, lose_clients: t.Any) -> Ability:
    """Read the options that say what pods can carry. Raises InvalidInput."""
    read = number("rate", rate)
    if not read:
        raise InvalidInput("rate must be above 0 requests per second.")
    if capacity is not None and not isinstance(capacity, t.Mapping):
        raise InvalidInput(
            f"capacity must be a dictionary, not {type(capacity).__name__}.", do="Write {helloworld.sample: 50}."
        )
    per_pod = {str(name): number(f"capacity[{name}]", value) for name, value in (capacity or {}).items()}
    return Ability(per_pod, number("headroom", headroom), read, flag("lose_clients", lose_clients))
