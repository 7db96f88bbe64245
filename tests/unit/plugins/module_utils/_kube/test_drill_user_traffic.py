# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users' requests when their Envoy shows neither its log nor its counters: the client is lost, never quiet."""

from __future__ import annotations

import time
import types
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import ClusterError
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_user_traffic
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_user_traffic import (
    SILENCE_SECONDS,
    UserTraffic,
    Watched,
    rate_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy

WATCHED = Watched("web.shop.svc.cluster.local", 80, ".*", lambda _endpoint, _namespace: True, {})
PROXY = Proxy.of({"metadata": {"namespace": "shop", "name": "client", "uid": "1"}, "spec": {}, "status": {}})


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """A cluster that gives neither the log of a pod nor lets anybody into it."""

    def refused(*_args: t.Any, **_options: t.Any) -> t.NoReturn:
        raise ClusterError("The API server answered 500.")

    monkeypatch.setattr(drill_user_traffic, "read_endpoints", refused)
    return types.SimpleNamespace(text=refused)


@pytest.mark.parametrize("by_log", [True, False], ids=["log", "counters"])
def test_a_client_that_cannot_be_read_is_lost(silent: t.Any, by_log: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = time.monotonic()
    traffic = UserTraffic(silent, 0, PROXY, WATCHED, by_log, begun, 1)
    for later in (1.0, SILENCE_SECONDS - 1):
        monkeypatch.setattr(time, "monotonic", lambda later=later: begun + later)
        traffic._once()
        assert traffic.stalled() == ""
    monkeypatch.setattr(time, "monotonic", lambda: begun + SILENCE_SECONDS + 1)
    traffic._once()
    assert traffic.stalled() == "shop/client cannot be read for 11 s: The API server answered 500."
    assert traffic.samples == []


def test_no_rate_is_made_up(silent: t.Any) -> None:
    with pytest.raises(ClusterError, match="answered 500"):
        rate_of(silent, PROXY, WATCHED, 0)
