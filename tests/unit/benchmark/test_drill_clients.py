# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark of a drill's clients reports what it measured, and an error when that is nothing."""

from __future__ import annotations

import typing as t

import click
import pytest

from ansible_collections.meshops.locality.plugins.module_utils._kube import client, sidecar_proxies
from tests.benchmark import drill_clients

FOUND: dict[str, t.Any] = {
    "due": 5000, "answered_in_time": 4900, "failed": 3, "seconds": 10.0, "stopped": [], "cpu_ms_per_request": 1.2,
    "cores": 0.6,
}  # fmt: skip


def test_a_report_names_the_share() -> None:
    assert "50 clients at 10 a second: 4900 of 5000 requests, 0.98" in drill_clients.report(FOUND, 50, 10.0)


@pytest.mark.parametrize("nothing", [{"due": 0, "answered_in_time": 0}, {"answered_in_time": 0}])
def test_nothing_measured_is_an_error_that_says_why(nothing: dict[str, int]) -> None:
    locations = {**FOUND, **nothing, "stopped": ["shop/sleep-0 has no shell."]}
    with pytest.raises(click.ClickException, match=r"shop/sleep-0 has no shell\.. Nothing was measured"):
        drill_clients.report(locations, 50, 10.0)


def test_no_client_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import kubernetes

    monkeypatch.setattr(kubernetes.config, "new_client_from_config", lambda _path: None)
    monkeypatch.setattr(client, "Cluster", lambda _client, _params: None)
    monkeypatch.setattr(sidecar_proxies, "read_proxies", lambda *_arguments: [])
    with pytest.raises(click.ClickException, match="No client can ask: there is no pod app=sleep"):
        drill_clients.ask("kubeconfig", "shop", 50, 10.0, 1.0)
