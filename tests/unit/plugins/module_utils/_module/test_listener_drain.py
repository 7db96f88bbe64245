# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What listener_drain writes down before it drains, and two who drain at once: against a cluster in memory."""

from __future__ import annotations

import contextlib
import copy
import threading
import time
import types
import typing as t

import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    LocalityError,
    NotReady,
)
from ansible_collections.meshops.locality.plugins.module_utils._kube import lease
from ansible_collections.meshops.locality.plugins.module_utils._kube.drain_note import DRAIN_ANNOTATION, DrainNote
from ansible_collections.meshops.locality.plugins.module_utils._kube.sidecar_proxies import Proxy
from ansible_collections.meshops.locality.plugins.module_utils._module import listener_drain

Json = dict[str, t.Any]

DEFAULTS: Json = {
    "namespace": "shop",
    "all_namespaces": False,
    "pods": None,
    "label_selector": None,
    "all_pods": False,
    "annotated_pods": False,
    "lock_namespace": "istio-system",
    "state": "drained",
    "inbound_only": False,
    "graceful": False,
    "wait_timeout": 3,
    "api_timeout": 0,
    "allow_all": False,
    "verify_from": None,
}

#: A note of somebody else, of the process that runs.
THEIRS = DrainNote("ann", "t", 0, False).text()


def merged(live: Json, patch: Json) -> Json:
    """JSON merge patch."""
    for key, value in patch.items():
        if value is None:
            live.pop(key, None)
        elif isinstance(value, dict):
            live[key] = merged(dict(live.get(key) or {}), value)
        else:
            live[key] = value
    return live


class Mesh:
    """Pods behind one Service, their Envoys and the Lease. What happened, in its order, is in `happened`."""

    def __init__(self, *pods: str) -> None:
        self.lock = threading.RLock()
        self.happened: list[str] = []
        self.stopped = dict.fromkeys(pods, 0)
        self.silent: set[str] = set()
        self.forbidden: set[str] = set()
        self.patience = 0.0
        self.version = 1
        self.lease: Json | None = None
        self.pods = {name: self.pod(name) for name in pods}
        self.service = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"selector": {"app": "web"}}}

    @staticmethod
    def pod(name: str) -> Json:
        state = {"ready": True, "restartCount": 0, "state": {"running": {}}}
        metadata = {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1"}
        return {
            "metadata": {**metadata, "labels": {"app": "web"}, "annotations": {}},
            "spec": {"nodeName": "n", "containers": [{"name": "web"}, {"name": "istio-proxy"}]},
            "status": {
                "phase": "Running",
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": "True"}],
                "containerStatuses": [{"name": "web", **state}, {"name": "istio-proxy", **state}],
            },
        }

    def annotation(self, name: str) -> str:
        return t.cast(str, self.pods[name]["metadata"]["annotations"].get(DRAIN_ANNOTATION, ""))

    def write(self, name: str, text: str) -> None:
        """Let somebody else write a note on a pod."""
        metadata = self.pods[name]["metadata"]
        self.version += 1
        metadata["resourceVersion"] = str(self.version)
        metadata["annotations"][DRAIN_ANNOTATION] = text

    def until(self, deadline: float) -> Mesh:
        self.patience = deadline - time.monotonic()
        return self

    def map(self, function: t.Any, items: t.Any) -> list[t.Any]:
        return [function(item) for item in items]

    def list(self, kind: t.Any, namespace: str | None = None, **_selectors: t.Any) -> list[Json]:
        return copy.deepcopy([self.service] if kind.plural == "services" else [*self.pods.values()])

    def get(self, kind: t.Any, name: str, namespace: str | None = None) -> Json | None:
        with self.lock:
            return copy.deepcopy(self.lease if kind.plural == "leases" else self.pods.get(name))

    def request(self, verb: str, method: str, path: str, **given: t.Any) -> Json:
        with self.lock:
            assert (method, path.rpartition("/")[2]) == ("POST", "leases")
            if self.lease is not None:
                raise Conflict("There is one.", status=409)
            created = merged(copy.deepcopy(given["body"]), {"metadata": {"resourceVersion": "1"}})
            if not given["query"]["dryRun"]:
                self.lease = created
            return copy.deepcopy(created)

    def merge_patch(self, kind: t.Any, name: str, body: Json, namespace: str = "", *, dry_run: bool = False) -> Json:
        with self.lock:
            live = self.lease if kind.plural == "leases" else self.pods[name]
            assert live is not None
            wanted = body["metadata"].get("resourceVersion")
            if wanted and wanted != live["metadata"]["resourceVersion"]:
                raise Conflict("It has changed.", status=409)
            if kind.plural == "pods" and name in self.forbidden:
                raise Forbidden("Not allowed to patch.", status=403)
            changed = copy.deepcopy(live)
            merged(changed, body)
            self.version += 1
            changed["metadata"]["resourceVersion"] = str(self.version)
            if dry_run:
                return changed
            if kind.plural == "leases":
                self.lease = changed
            else:
                self.pods[name] = changed
                written = DRAIN_ANNOTATION in changed["metadata"]["annotations"]
                self.happened.append(f"{'note' if written else 'no note'} {name}")
            return copy.deepcopy(changed)

    def admin(self, _cluster: t.Any, proxy: Proxy, path: str, **_how: t.Any) -> str:
        """Stand in for `admin` of sidecar_proxies."""
        if proxy.pod in self.silent:
            raise NotReady(f"istio-proxy of pod {proxy.where} cannot be asked.")
        if path.startswith("drain_listeners"):
            self.happened.append(f"drain {proxy.pod}")
            self.stopped[proxy.pod] = 2
        elif path == "quitquitquit":
            self.happened.append(f"end {proxy.pod}")
            self.stopped[proxy.pod] = 0
            self.pods[proxy.pod]["status"]["containerStatuses"][1]["restartCount"] += 1
        counters = {"listener_stopped": self.stopped[proxy.pod], "total_listeners_active": 2}
        return "".join(f"listener_manager.{name}: {value}\n" for name, value in counters.items())


def run(mesh: Mesh, *, check_mode: bool = False, **params: t.Any) -> Json:
    module: t.Any = types.SimpleNamespace(check_mode=check_mode)
    try:
        return listener_drain.listener_drain(t.cast(t.Any, mesh), {**DEFAULTS, **params}, module)
    except LocalityError as error:
        return {"failed": True, "msg": str(error), "kind": type(error).__name__, **error.details}


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    mesh_of_three = Mesh("a", "b", "c")
    monkeypatch.setattr(listener_drain, "admin", mesh_of_three.admin)
    monkeypatch.setattr(listener_drain, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(listener_drain, "LOST_SECONDS", 0.05)
    monkeypatch.setattr(lease, "POLL_SECONDS", 0.01)
    return mesh_of_three


@pytest.mark.parametrize("graceful", [True, False])
def test_a_drain_is_written_down_before_it_is_sent(mesh: Mesh, graceful: bool) -> None:
    assert run(mesh, pods=["a"], graceful=graceful)["changed"]
    assert mesh.happened == ["note a", "drain a", *(["note a"] if graceful else [])]
    note = DrainNote.parse(mesh.annotation("a"))
    assert note is not None
    assert (note.restarts, note.graceful, note.sent, "listener_drain by " in note.by) == (0, graceful, graceful, True)
    before = list(mesh.happened)
    assert run(mesh, pods=["a"])["changed"] is False
    assert mesh.happened == before


def test_a_graceful_drain_that_was_only_written_down_is_sent(mesh: Mesh) -> None:
    """Whoever wrote it was killed before Envoy had accepted it."""
    note = DrainNote("ann", "t", 0, graceful=True)
    mesh.pods["a"]["metadata"]["annotations"][DRAIN_ANNOTATION] = note.text()
    assert run(mesh, pods=["a"], graceful=True)["changed"]
    assert mesh.happened == ["note a", "drain a", "note a"]
    assert run(mesh, pods=["a"], graceful=True)["changed"] is False


def started(seconds_ago: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds_ago))


@pytest.mark.parametrize(
    ("restarts", "runs", "patience", "says"),
    [
        (0, 5, 1, ""),
        (1, 60, 10, ""),
        (1, 60, 9, "kubelet might wait 10 seconds before it starts it again, and wait_timeout is 9"),
        (3, 60, 39, "has restarted 3 times, lately: kubelet might wait 40 seconds"),
        (99, 60, 299, "kubelet might wait 300 seconds"),
        (99, 60, 300, ""),
        (99, 1000, 1, ""),  # It has run for longer than kubelet remembers.
    ],
)
def test_what_kubelet_would_start_too_late_is_not_drained(
    mesh: Mesh, restarts: int, runs: float, patience: int, says: str
) -> None:
    state = {"restartCount": restarts, "state": {"running": {"startedAt": started(runs)}}}
    mesh.pods["a"]["status"]["containerStatuses"][1].update(state)
    done = run(mesh, pods=["a"], wait_timeout=patience)
    assert bool(done.get("failed")) == bool(says), done
    assert says in done.get("msg", "")
    if says:
        assert "could not be undone" in done["msg"]
        assert mesh.happened == []


@pytest.mark.parametrize(
    ("metadata", "spec", "says"),
    [
        ({}, {"restartPolicy": "Never"}, "restartPolicy is Never"),
        ({}, {"restartPolicy": "OnFailure"}, "restartPolicy is OnFailure"),
        ({"ownerReferences": [{"controller": True, "kind": "Job", "name": "once"}]}, {}, "belongs to Job/once"),
    ],
)
def test_what_would_not_come_back_is_not_drained(mesh: Mesh, metadata: Json, spec: Json, says: str) -> None:
    mesh.pods["a"]["metadata"].update(metadata)
    mesh.pods["a"]["spec"].update(spec)
    done = run(mesh, pods=["a"])
    assert says in done["msg"]
    assert mesh.happened == []


def test_somebody_else_finds_what_is_drained_and_asks_no_other_sidecar(mesh: Mesh) -> None:
    run(mesh, pods=["a"])
    mesh.silent = {"b", "c"}
    back = run(mesh, namespace=None, all_namespaces=True, annotated_pods=True, state="restored")
    assert ([pod["pod"] for pod in back["pods"]], back["changed"]) == (["a"], True)
    assert (mesh.stopped["a"], mesh.annotation("a")) == (0, "")
    again = run(mesh, annotated_pods=True, state="restored")
    assert (again["pods"], again["changed"]) == ([], False)


@pytest.mark.parametrize(("options", "seconds"), [({"wait_timeout": 400}, 400), ({"wait_timeout": 7}, 180)])
def test_a_restore_has_the_longest_patience(mesh: Mesh, options: Json, seconds: float) -> None:
    """Three times that of other requests, as the option api_timeout says."""
    assert not run(mesh, pods=["a"], state="restored", api_timeout=60, **options)["changed"]
    assert mesh.patience == pytest.approx(seconds, abs=5)


def test_a_note_of_a_drain_that_was_never_sent_is_taken_away(mesh: Mesh) -> None:
    """Its module was killed in between."""
    mesh.pods["a"]["metadata"]["annotations"][DRAIN_ANNOTATION] = DrainNote("x", "t", 0, False).text()
    back = run(mesh, annotated_pods=True, state="restored")
    assert (back["changed"], mesh.annotation("a"), mesh.happened) == (False, "", ["no note a"])


def test_what_cannot_be_written_down_is_not_drained(mesh: Mesh) -> None:
    mesh.forbidden = {"a"}
    for check_mode in (True, False):
        refused = run(mesh, pods=["a"], check_mode=check_mode)
        assert (refused["kind"], refused["changed"], mesh.happened) == ("Forbidden", False, [])
        assert "cannot be written down, so it is not drained" in refused["msg"]


def test_check_mode_writes_nothing(mesh: Mesh) -> None:
    assert run(mesh, pods=["a"], check_mode=True)["changed"]
    assert (mesh.happened, mesh.lease, mesh.annotation("a")) == ([], None, "")


@pytest.mark.parametrize("error", [NotReady("It broke."), Forbidden("Not allowed to enter.", status=403)])
@pytest.mark.parametrize(("note", "stopped"), [("", 0), (THEIRS, 1)])
def test_a_drain_that_did_not_happen_leaves_the_note_of_before(
    mesh: Mesh, monkeypatch: pytest.MonkeyPatch, error: LocalityError, note: str, stopped: int
) -> None:
    """Of somebody else's drain of the inbound listeners, which lasts."""

    def admin(cluster: t.Any, proxy: Proxy, path: str, **how: t.Any) -> str:
        if path.startswith("drain_listeners"):
            raise error
        return mesh.admin(cluster, proxy, path, **how)

    mesh.stopped["a"] = stopped
    if note:
        mesh.write("a", note)
    monkeypatch.setattr(listener_drain, "admin", admin)
    failed = run(mesh, pods=["a"])
    assert (failed["failed"], failed["changed"], failed["pods"][0]["listeners_stopped"]) == (True, False, stopped)
    assert (mesh.annotation("a"), len(mesh.happened)) == (note, 2)


def test_a_note_that_somebody_else_writes_meanwhile_stays(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_drain, "refuse_all", lambda *_given: mesh.write("a", THEIRS))
    assert "Somebody else drains or restores pod shop/a" in run(mesh, pods=["a"])["msg"]
    assert (mesh.annotation("a"), mesh.happened) == (THEIRS, [])


def test_a_restore_leaves_the_note_of_the_next_drain(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    def admin(cluster: t.Any, proxy: Proxy, path: str, **how: t.Any) -> str:
        answer = mesh.admin(cluster, proxy, path, **how)
        if path == "quitquitquit":
            mesh.write("a", following)
        return answer

    following = DrainNote("bob", "t", 1, False).text()
    assert run(mesh, pods=["a"])["changed"]
    monkeypatch.setattr(listener_drain, "admin", admin)
    assert run(mesh, pods=["a"], state="restored")["changed"]
    assert mesh.annotation("a") == following


@pytest.mark.parametrize("times", [1, 99])
def test_a_pod_whose_status_changes_meanwhile(mesh: Mesh, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """It is looked at again, but not for ever."""

    def merge_patch(kind: t.Any, name: str, *given: t.Any, **options: t.Any) -> Json:
        if kind.plural == "pods" and writes:
            writes.pop()
            mesh.write(name, "")
        return patch(kind, name, *given, **options)

    writes = [None] * times
    patch = mesh.merge_patch
    monkeypatch.setattr(mesh, "merge_patch", merge_patch)
    done = run(mesh, pods=["a"])
    if times == 1:
        assert (done["changed"], mesh.happened) == (True, ["note a", "drain a"])
    else:
        assert ("keeps writing it" in done["msg"], mesh.happened) == (True, []), done


def test_two_who_drain_at_once_leave_the_service_a_pod(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alone may drain its pods, together they would drain all: the second is refused.

    Each waits, when it has looked at the pods, until the other has looked, too: without the lock both would go on.
    """
    both = threading.Barrier(2)

    def refuse_all(*given: t.Any) -> None:
        refuse(*given)
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.3)

    refuse = listener_drain.refuse_all
    monkeypatch.setattr(listener_drain, "refuse_all", refuse_all)
    results: list[Json] = []
    threads = [
        threading.Thread(target=lambda pods=pods: results.append(run(mesh, pods=pods))) for pods in (["a"], ["b", "c"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.get("kind", "") for result in results) in (["", "InvalidInput"], ["", "LeaseHeld"]), results
    assert 0 in mesh.stopped.values()


def test_what_is_written_down_but_not_sent_yet_does_not_remain(mesh: Mesh) -> None:
    for name in "ab":
        mesh.pods[name]["metadata"]["annotations"][DRAIN_ANNOTATION] = DrainNote("x", "t", 0, False).text()
    refused = run(mesh, pods=["c"])
    assert (refused["kind"], mesh.happened) == (InvalidInput.__name__, [])
    # A note of a process that is gone says nothing.
    for name in "ab":
        mesh.pods[name]["metadata"]["annotations"][DRAIN_ANNOTATION] = DrainNote("x", "t", 7, False).text()
    assert run(mesh, pods=["c"])["changed"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_nothing_is_drained_while_a_drill_has_the_lock(mesh: Mesh, check_mode: bool) -> None:
    taken = lease.acquire(t.cast(t.Any, mesh), "istio-system", "ann@there (pid 1, drill x)")
    ended = threading.Event()

    def drill() -> None:
        mine = taken
        while not ended.wait(0.005):
            mine = lease.renew(t.cast(t.Any, mesh), mine)

    thread = threading.Thread(target=drill)
    thread.start()
    try:
        refused = run(mesh, pods=["a"], check_mode=check_mode)
        assert (refused.get("kind"), mesh.happened) == ("LeaseHeld", [])
        assert "ann@there (pid 1, drill x) has the lock of this mesh" in refused["msg"]
        mesh.stopped["b"] = 2
        assert run(mesh, pods=["b"], state="restored")["changed"], "restoring waits for nobody"
    finally:
        ended.set()
        thread.join()


def test_who_lost_the_lock_drains_nothing(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_given: t.Any) -> t.NoReturn:
        raise lease.LeaseLost("The lock belongs to somebody else now.", status=409)

    monkeypatch.setattr(lease, "renew", lost)
    # What is needed to restore a drain of somebody else stays.
    mesh.stopped["b"] = 2
    mesh.write("b", THEIRS)
    refused = run(mesh, pods=["a", "b"])
    assert (refused["kind"], refused["msg"].startswith("Nothing was drained.")) == ("LeaseLost", True)
    assert (mesh.happened, mesh.annotation("a")) == (["note a", "no note a"], "")
    assert mesh.annotation("b") == THEIRS


def test_listeners_that_nobody_counted_are_not_known(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither before nor after: 0 would be an all-clear."""
    mesh.silent, mesh.stopped["a"] = {"a"}, 2
    for state in ("drained", "restored"):
        (silent,) = run(mesh, pods=["a"], state=state)["pods"]
        assert (silent["listeners_stopped"], "cannot be asked" in silent["error"]) == (None, True)
    mesh.silent, mesh.stopped["a"] = set(), 0

    def admin(cluster: t.Any, proxy: Proxy, path: str, **how: t.Any) -> str:
        answer = mesh.admin(cluster, proxy, path, **how)
        if path in ("drain_listeners", "quitquitquit"):
            mesh.silent = {"a"}
        return answer

    monkeypatch.setattr(listener_drain, "admin", admin)
    sent = run(mesh, pods=["a"])
    assert (sent["changed"], sent["pods"][0]["listeners_stopped"]) == (True, None), sent
    assert sent["diff"] == {"before": {"a": "listening"}, "after": {"a": "drain sent, not seen"}}
    mesh.silent = set()
    ended = run(mesh, pods=["a"], state="restored", wait_timeout=0)
    assert (ended["failed"], ended["changed"], ended["pods"][0]["listeners_stopped"]) == (True, True, None), ended


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"by": "x"}', '{"by":"x","at":"t","restarts":"x","graceful":1}'])
def test_an_annotation_of_somebody_else_is_no_note(text: str) -> None:
    assert DrainNote.parse(text) is None
