# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any prediction as text.

Pure. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._report.forecast import forecast_table
from ansible_collections.meshops.locality.plugins.module_utils._report.matrix import matrix_table
from ansible_collections.meshops.locality.plugins.module_utils._report.plan import plan_table
from ansible_collections.meshops.locality.plugins.module_utils._report.upgrade import upgrade_table

WIDTH = 120


def prediction_table(prediction: t.Any, width: int = WIDTH) -> str:
    """Return the text of what locality_plan, locality_forecast, resilience_matrix or upgrade_difference returned.

    `width` is that of the matrix. Raises InvalidInput when it is something else.
    """
    kind = prediction.get("kind") if isinstance(prediction, t.Mapping) else None
    try:
        if isinstance(prediction, (list, tuple)):
            return plan_table(prediction)
        if kind == "matrix":
            return matrix_table(prediction, width)
        if kind == "forecast":
            return forecast_table(prediction)
        if kind == "upgrade":
            return upgrade_table(prediction)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"This is no prediction: {type(error).__name__} {error}.", do=_DO) from error
    raise InvalidInput(f"This is no prediction: a {type(prediction).__name__} of kind {kind!r}.", do=_DO)


_DO = "Give what locality_plan, locality_forecast, resilience_matrix or upgrade_difference returned."
