# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests of a drill's client: sent when they are due, whether answers come promptly, late or never."""

from __future__ import annotations

import itertools
import re
import statistics
import threading
import time
import typing as t
from pathlib import Path

import kubernetes
import pytest

from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_clients import ClientProbe, Request, logged
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import Session
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import read_proxies

from .mesh import PLACES, Mesh

pytestmark = pytest.mark.alone

RATE = 10.0


@pytest.fixture
def cluster(kubeconfig: Path) -> Cluster:
    return Cluster(kubernetes.config.new_client_from_config(str(kubeconfig)), {})


def probe_of(cluster: Cluster, mesh: Mesh, run: str, timeout: float) -> ClientProbe:
    (proxy,) = read_proxies(cluster, mesh.namespace, None, "app=sleep")
    request = Request(mesh.url, RATE, timeout, re.compile(r"instance: (\S+)"))
    return ClientProbe(cluster, 0, proxy, "sleep", request, f"test-{run}", time.monotonic())


class Pauses:
    """What the machine adds to every wait while it has other things to do: `longest`, in seconds."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> t.Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.is_set():
            due = time.monotonic() + 0.05
            self._ended.wait(0.05)
            self.longest = max(self.longest, time.monotonic() - due)


def fault(cluster: Cluster, mesh: Mesh, query: str) -> None:
    """Let the server of every place misbehave; each is asked next to its own Envoy."""
    for place in PLACES:
        pod = mesh.name(f"version={place}")
        command = ["curl", "-sS", "-m", "5", "-X", "POST", f"http://127.0.0.1:5000/fault?{query}"]
        with Session(cluster, mesh.namespace, pod, "istio-proxy", command) as session:
            assert '"mode"' in session.output(time.monotonic() + 30)


def test_prompt_answers_need_few_curls(cluster: Cluster, mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = probe_of(cluster, mesh, "prompt", 5)
    written: list[str] = []
    write = Session.write

    def noted(session: Session, text: str) -> None:
        written.append(text.strip())
        write(session, text)

    monkeypatch.setattr(Session, "write", noted)
    probe.start()
    time.sleep(6)
    probe.end(10)
    assert (probe.broken, written.pop()) == ("", "end")
    assert len(probe.samples) >= 40
    assert any(line.endswith(" 20") for line in written)
    assert len(written) < 0.4 * len(probe.samples)
    assert all(sample.ok and sample.pod.startswith("helloworld-tianjin") for sample in probe.samples)
    until = time.monotonic() + 30  # Envoy writes its access log by and by
    while (entries := logged(cluster, probe, 60)[0]).keys() != set(probe.numbers):
        assert time.monotonic() < until, set(probe.numbers) - entries.keys()
        time.sleep(1)


@pytest.mark.parametrize(("query", "timeout"), [("mode=delay&ms=900&seconds=4", 5.0), ("mode=hang&seconds=4", 0.5)])
def test_late_answers_delay_no_request(cluster: Cluster, mesh: Mesh, query: str, timeout: float) -> None:
    """Late answers, and answers that nobody waits for: the rate stays what it was, and comes back to few curls."""
    probe = probe_of(cluster, mesh, query[5:9], timeout)
    wait = min(0.9, timeout)
    with Pauses() as pauses:
        probe.start()
        time.sleep(4)
        begun = time.monotonic() - probe._clock
        fault(cluster, mesh, query)
        time.sleep(7)
        probe.end(10)
    assert probe.broken == ""
    late = [sample for sample in probe.samples if sample.seconds >= wait + (pauses.longest if sample.t < begun else 0)]
    # Four seconds less the time in which the three are asked to misbehave. The first ones wait until it is seen that
    # the curl before them waits for an answer, and all of them begin at once: how long that takes is the machine's.
    times = sorted(sample.t for sample in late)
    assert len(late) >= 0.7 * (times[-1] - times[0]) * RATE > 10, times
    settled = [sent for sent in times if sent > times[0] + 1]
    assert len(settled) >= 0.7 * (times[-1] - times[0] - 1) * RATE, times
    # While one waits others are sent.
    meanwhile = [sum(sample.t < other < sample.t + wait for other in times) for sample in late]
    assert statistics.median(meanwhile) >= 0.5 * RATE * wait, meanwhile
    assert statistics.median(after - before for before, after in itertools.pairwise(settled)) < 1.5 / RATE, times
    assert times[0] > begun
    after = [sample for sample in probe.samples if sample.t > times[-1] + 0.5]
    assert after
    assert all(sample.ok for sample in after)
