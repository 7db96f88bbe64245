# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The outlier_detection message of a cluster's JSON, as istiod's debug answers and Envoy's config dump write it."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._envoy.outlier_detection import OutlierDetection

_DURATIONS = ("interval", "base_ejection_time", "max_ejection_time", "max_ejection_time_jitter")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)


def parse_outlier_detection(message: t.Mapping[str, t.Any] | None) -> OutlierDetection | None:
    """Return what a message says, in either spelling of its fields; None when there is none.

    An empty message is outlier detection with all defaults. Durations are texts ("1.5s"). Other types raise.
    """
    if message is None:
        return None
    values: dict[str, t.Any] = {}
    for field in dataclasses.fields(OutlierDetection):
        value = message.get(field.name, message.get(_camel(field.name)))
        if value is None:
            continue
        if field.name in _DURATIONS:
            values[field.name] = float(value.removesuffix("s"))
        else:
            wanted = bool if isinstance(field.default, bool) else int
            if not isinstance(value, wanted):
                raise TypeError(f"outlier_detection.{field.name} is {value!r}")
            values[field.name] = value
    return OutlierDetection(**values)
