# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill refuses because it could not put it back."""

from __future__ import annotations

import time
import types
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._drill.faults import FAULTS
from ansible_collections.meshops.locality.plugins.module_utils._drill.journal import Target
from ansible_collections.meshops.locality.plugins.module_utils._errors import NotReady
from ansible_collections.meshops.locality.plugins.module_utils._kube import drill_preflight
from ansible_collections.meshops.locality.plugins.module_utils._kube.drain_note import DRAIN_ANNOTATION, DrainNote

Json = dict[str, t.Any]

JOB = {"ownerReferences": [{"controller": True, "kind": "Job", "name": "once"}]}


def note(restarts: int) -> Json:
    """Return the metadata of a pod whose sidecar was sent a graceful drain after so many restarts."""
    text = DrainNote("ann", "2026-01-01T00:00:00Z", restarts, graceful=True).text()
    return {"annotations": {DRAIN_ANNOTATION: text}}


def check(
    seconds: float,
    restarts: int = 0,
    metadata: Json | None = None,
    spec: Json | None = None,
    *,
    fault: str = "drain",
    container: str = "istio-proxy",
) -> list[t.Any]:
    """Ask the preflight about a pod with a container that has restarted so often, the last time a minute ago."""
    begun = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 60))
    state = {"ready": True, "restartCount": restarts, "state": {"running": {"startedAt": begun}}}
    others = [{"name": name, "ready": True} for name in ("web", "istio-proxy") if name != container]
    pod = {
        "metadata": {"name": "p", "namespace": "shop", "uid": "u", **(metadata or {})},
        "spec": {"nodeName": "n", "containers": [{"name": "web"}, {"name": "istio-proxy"}], **(spec or {})},
        "status": {
            "phase": "Running",
            "podIP": "10.0.0.1",
            "containerStatuses": [{"name": container, **state}, *others],
        },
    }
    cluster: t.Any = types.SimpleNamespace(map=lambda function, items: [function(item) for item in items])
    behind: t.Any = types.SimpleNamespace(pods={"u": pod})
    targets = [Target("shop", "p", "u", part="web")]
    return drill_preflight.check_targets(cluster, FAULTS[fault], targets, behind, "drill", seconds)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"metadata": JOB}, "It belongs to Job/once"),
        ({"spec": {"restartPolicy": "Never"}}, "restartPolicy is Never: once ended it would not be started again"),
        (
            {"restarts": 6},
            "might wait 300 seconds before it starts it again, and restore_timeout is 180. Wait until it",
        ),
    ],
)
def test_what_could_not_be_put_back_is_refused(given: Json, says: str) -> None:
    with pytest.raises(NotReady, match="Nothing was touched") as raised:
        check(180, **given)
    assert says in str(raised.value)


@pytest.mark.parametrize(("restarts", "seconds"), [(0, 10), (5, 180), (6, 300)])
def test_what_comes_back_in_time_is_not(restarts: int, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drill_preflight, "listeners_stopped", lambda _cluster, _proxy: 0)
    assert [proxy.pod for proxy in check(seconds, restarts)] == ["p"]
    # Another process than the one that was drained.
    assert [proxy.pod for proxy in check(seconds, restarts, note(restarts + 1))] == ["p"]


def test_an_application_that_would_start_too_late_is_not_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    process = types.SimpleNamespace(obstacle=lambda _cluster, _target, _drill: "")
    monkeypatch.setattr(drill_preflight, "STEPS", {"process": process})
    with pytest.raises(NotReady, match="Pod shop/p: Its web has restarted 6 times, lately: kubelet might wait 300 sec"):
        check(180, 6, fault="process_kill", container="web")
    assert check(300, 6, fault="process_kill", container="web")
    assert check(180, 6, fault="process_kill"), "the sidecar is not ended"
