# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: forecast_differences
short_description: Compare a forecast with what a traffic probe counted
version_added: 0.1.0
author: meshops.locality contributors (@meshops)
description:
  - Says which counts of M(meshops.locality.traffic_probe) are too far from the shares that were forecast, by
    locality, by pod, and of failed requests.
  - What is too far is decided by the exact binomial distribution. The choice of a priority is drawn for each request;
    inside of it Envoy spreads more evenly than chance, so that the test is a safe one. A share of none or of all has no
    tolerance.
positional: probe, loss
options:
  _input:
    description:
      - What P(meshops.locality.locality_forecast#filter) returned. It must have one row for the client of the probe,
        so ask for one Service and port.
    type: dict
    required: true
  probe:
    description: The result of M(meshops.locality.traffic_probe).
    type: dict
    required: true
  loss:
    description:
      - The name of a loss in the forecast, when the probe ran after it and its failover. Without it the shares of now
        count.
    type: str
  requests:
    description:
      - Of which class the probe's requests are, as the forecast names it (C(requests) of its row); empty for the
        default class. Without it the class is chosen by the path of the probe's URL.
    type: str
  level:
    description: How likely it may be that any difference is reported although the forecast is right.
    type: float
    default: 0.001
"""

EXAMPLES = r"""
- name: Ask a hundred times
  meshops.locality.traffic_probe:
    namespace: sample
    label_selector: app=sleep
    url: http://helloworld.sample:5000/hello
    requests: 100
    rate: 20
  register: probe

- name: The answers come from where the forecast says
  ansible.builtin.assert:
    that: forecast | meshops.locality.forecast_differences(probe) | length == 0
  vars:
    forecast: "{{ mesh.snapshot | meshops.locality.locality_forecast(service='helloworld.sample', port=5000) }}"
"""

RETURN = r"""
_value:
  description: One sentence for each difference; empty when there is none.
  type: list
  elements: str
"""

import typing as t

from ansible_collections.meshops.locality.plugins.plugin_utils._mesh_queries import answered
from ansible_collections.meshops.locality.plugins.plugin_utils._option_readers import number, text

_NAME = "meshops.locality.forecast_differences"


def forecast_differences(
    forecast: t.Any, probe: t.Any = None, loss: t.Any = None, level: t.Any = 0.001, requests: t.Any = None
) -> list[str]:
    """Compare a forecast with a probe; see DOCUMENTATION."""
    from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
    from ansible_collections.meshops.locality.plugins.module_utils._forecast import forecast_against_probe
    from ansible_collections.meshops.locality.plugins.module_utils._model.plain_values import plain

    def ask() -> list[str]:
        for what, value in (("the forecast", forecast), ("probe", probe)):
            if not isinstance(value, t.Mapping):
                raise InvalidInput(f"{what} must be a dictionary, not {type(value).__name__}.")
        return forecast_against_probe.forecast_differences(
            plain(forecast),
            plain(probe),
            text("loss", loss or ""),
            number("level", level),
            None if requests is None else text("requests", requests),
        )

    return answered(_NAME, ask)


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return them by name."""
        return {"forecast_differences": forecast_differences}
