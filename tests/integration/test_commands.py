# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands in real containers: how long they may take, and those that wait for a word."""

from __future__ import annotations

import dataclasses
import time
import typing as t
from pathlib import Path

import kubernetes
import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import FAULTS
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import Target
from ansible_collections.meshops.locality.plugins.module_utils._errors import NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster
from ansible_collections.meshops.locality.plugins.module_utils._kube.drill_fault_in_envoy import prepare
from ansible_collections.meshops.locality.plugins.module_utils._kube.exec import Session

from .mesh import Mesh

#: Prints six lines in three seconds.
SLOW = "for n in 1 2 3 4 5 6; do echo $n; sleep 0.5; done"


@pytest.fixture
def lines(kubeconfig: Path, mesh: Mesh) -> t.Callable[..., list[str]]:
    cluster = Cluster(kubernetes.config.new_client_from_config(str(kubeconfig)), {})

    def run(script: str, seconds: float, *, latest: float = 0.0, silence: float = 0.0) -> list[str]:
        with Session(cluster, mesh.namespace, mesh.name("app=sleep"), "sleep", ["sh", "-c", script]) as session:
            now = time.monotonic()
            return list(session.lines(now + seconds, silence=silence, latest=now + latest))

    return run


def test_a_command_ends_at_its_deadline_although_it_prints(lines: t.Callable[..., list[str]]) -> None:
    with pytest.raises(NotReady, match="did not end in time"):
        lines(SLOW, 1)


def test_a_command_that_goes_on_printing_may_take_longer(lines: t.Callable[..., list[str]]) -> None:
    assert lines(SLOW, 1, silence=30, latest=60) == list("123456")


def test_silence_is_not_waited_for(lines: t.Callable[..., list[str]]) -> None:
    with pytest.raises(NotReady, match="did not end in time"):
        lines("echo 1; sleep 60; echo 2", 1, silence=2, latest=300)


def test_nobody_may_print_for_ever(lines: t.Callable[..., list[str]]) -> None:
    with pytest.raises(NotReady, match="did not end in time"):
        lines("while :; do echo; sleep 0.2; done", 1, silence=30, latest=3)


def test_the_command_of_a_fault_waits_and_does_nothing_when_it_is_left(
    kubeconfig: Path, mesh: Mesh, kubectl: t.Any
) -> None:
    """The fault is a harmless one: Envoy logs more of its main loop."""
    cluster = Cluster(kubernetes.config.new_client_from_config(str(kubeconfig)), {})
    pod = kubectl("-n", mesh.namespace, "get", "pod", mesh.name("app=sleep"), "-o", "json")
    target = Target(mesh.namespace, pod["metadata"]["name"], pod["metadata"]["uid"])
    fault = FAULTS["drain"]._replace(admin="logging?dubbo=trace")

    def level() -> str:
        enter = ("-n", mesh.namespace, "exec", target.name, "-c", "istio-proxy", "--", "pilot-agent", "request")
        said: str = kubectl(*enter, "POST", "logging")
        return next(line.split()[-1] for line in said.splitlines() if line.split()[0] == "dubbo:")

    before = level()
    assert before != "trace"
    left = prepare(cluster, target, fault)
    assert left is not None
    left.leave()
    time.sleep(1)
    assert level() == before
    waiting = prepare(cluster, target, fault)
    assert waiting is not None
    waiting.begin()
    waiting.wait()
    assert level() == "trace"
    assert prepare(cluster, dataclasses.replace(target, uid="another"), fault) is None
    back = prepare(cluster, target, fault._replace(admin=f"logging?dubbo={before}"))
    assert back is not None
    back.begin()
    back.wait()
    assert level() == before
