# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client without processor time: its requests belong to the time at which they were sent, and too late is told."""

from __future__ import annotations

import threading
import time
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_clients import ClientProbe, Request
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy


@pytest.fixture
def probe() -> ClientProbe:
    pod = {"metadata": {"namespace": "sample", "name": "sleep", "uid": "1"}, "spec": {}, "status": {}}
    request = Request("http://web/", 20, 5, None)
    return ClientProbe(t.cast(t.Any, None), 0, Proxy.of(pod), "sleep", request, "run", time.monotonic() - 100)


def test_a_request_that_was_sent_late_belongs_to_when_it_was_sent(probe: ClientProbe) -> None:
    now = time.monotonic()
    probe._due = [now - 40, now - 0.4]
    probe._take("0 0 200 0.500 answer")
    probe._take("1 0 200 0.500 answer")
    late, in_time = probe.samples
    assert late.t == pytest.approx(99.5, abs=5)
    assert in_time.t == pytest.approx(99.6, abs=5)
    assert probe.late == pytest.approx(39.5, abs=5)


def test_a_client_that_falls_far_behind_is_no_witness(probe: ClientProbe) -> None:
    probe._due = [time.monotonic() - 3]
    probe._take("0 0 200 2.900 answer")
    assert (probe.stalled(), probe.slowness()) == ("", "")
    probe.late = 1.5
    assert "sent requests up to 1.5 s late" in probe.slowness()
    probe._due.append(time.monotonic() - 60)
    probe._take("1 0 200 0.100 answer")
    assert "too little processor time for 20 a second" in probe.stalled()


def test_a_client_has_no_more_requests_open_than_may_wait_for_an_answer(probe: ClientProbe) -> None:
    """Each open request is a process in the client: one that cannot cope gets the next when it has answered one."""
    written: list[str] = []

    class _Session:
        write = staticmethod(written.append)

    probe._request = Request("http://web/", 10_000, 0.001, None)
    probe._session = t.cast(t.Any, _Session)
    probe._most_open = 50
    ticker = threading.Thread(target=probe._tick)
    ticker.start()
    try:
        wait_for(lambda: len(written) == 50 and probe.late > 0.1)
        assert len(written) == 50
        probe._take("0 0 200 0.000 answer")
        wait_for(lambda: len(written) == 51)
        assert len(written) == 51
    finally:
        probe._stop.set()
        ticker.join(timeout=30)


def wait_for(condition: t.Callable[[], bool]) -> None:
    """Wait until something is so, at most half a minute."""
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
