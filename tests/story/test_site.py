# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tutorial's story on the cluster under test: its two outcomes, and that nothing is left of it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import typing as t
import uuid
from pathlib import Path

import pytest
import yaml

from ansible_collections.meshops.locality.plugins.module_utils._model.least_rights import RIGHTS, least_rights
from tests.audit_log import AuditLog
from tests.conftest import BIN, ROOT, Kubectl, PlaybookRun, ansible_environment
from tests.service_account import kubeconfig_with_token, until_granted

PLACES = {
    "beijing": {"region": "cn-north-4", "zone": "cn-north-4b", "subzone": "beijing"},
    "tianjin": {"region": "cn-north-4", "zone": "cn-north-4b", "subzone": "tianjin"},
    "shenyang": {"region": "cn-north-4", "zone": "cn-north-4b", "subzone": "shenyang"},
    "guangzhou": {"region": "cn-south-1", "zone": "cn-south-1a", "subzone": "guangzhou"},
}
NAMESPACE = "story"


def labels(kubectl: Kubectl) -> dict[str, dict[str, str]]:
    """Return the topology labels of every node, as the API server has them."""
    nodes = kubectl("get", "nodes", "-o", "json")["items"]
    return {
        node["metadata"]["name"]: {
            label: value for label, value in node["metadata"]["labels"].items() if label.startswith("topology.")
        }
        for node in nodes
    }


@pytest.fixture
def nothing_left(kubectl: Kubectl) -> t.Iterator[None]:
    """Fail when the labels differ afterwards, or the namespace is still there."""
    before = labels(kubectl)
    yield
    assert labels(kubectl) == before
    assert "NotFound" in kubectl("get", "namespace", NAMESPACE, check=False)


class Limited(t.NamedTuple):
    """A ServiceAccount: its kubeconfig, and its name in the audit log."""

    kubeconfig: Path
    user: str


@pytest.fixture
def limited(kubeconfig: Path, kubectl: Kubectl, tmp_path: Path, request: pytest.FixtureRequest) -> t.Iterator[Limited]:
    """A ServiceAccount with the rights of one action (`site`), and no others."""
    name = f"story-{uuid.uuid4().hex[:8]}"
    action = getattr(request, "param", "site")
    manifests = least_rights([action], [], name=name, service_account=f"default/{name}")
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"}}
    kubectl("apply", "-f", "-", given=[account, *manifests])
    user = f"system:serviceaccount:default:{name}"
    until_granted(kubectl, manifests, user)
    token = kubectl("-n", "default", "create", "token", name, "--duration=7200s").strip()
    yield Limited(kubeconfig_with_token(kubeconfig, token, tmp_path / "limited.yaml"), user)
    kubectl("delete", "-f", "-", given=[account, *manifests])


@pytest.fixture
def host(kubeconfig: Path) -> dict[str, t.Any]:
    return {
        "kubeconfig": str(kubeconfig),
        "node_topology_nodes": PLACES,
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "site_namespace": NAMESPACE,
        # Variables of the inventory count, with those of the command line above them.
        "site_watch": 72,
        "site_watch_completed": 20,
        "site_watch_region": 20,
        # A busy machine answers late: that is no failure.
        "failover_drill_timeout": 20,
    }


@pytest.fixture
def kill_story_when(host: dict[str, t.Any], kubectl: Kubectl, tmp_path: Path) -> t.Callable[..., None]:
    def kill(kind: str, name: str) -> None:
        """Begin the story, and kill it with all its children as soon as such an object is in its namespace."""
        inventory = tmp_path / "killed.yml"
        inventory.write_text(yaml.safe_dump({"all": {"hosts": {"sandbox": host}}}), encoding="utf-8")
        story = subprocess.Popen(
            [str(BIN / "ansible-playbook"), "-i", str(inventory), "meshops.locality.site"],
            cwd=ROOT,
            env=ansible_environment(tmp_path / "home", {"PYTHONPATH": ""}),  # all that it starts are its children
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        deadline = time.monotonic() + 300
        try:
            while name not in kubectl("get", kind, "-n", NAMESPACE, "-o", "name", check=False):
                assert story.poll() is None, f"the story ended before it made a {kind}"
                assert time.monotonic() < deadline, f"the story made no {kind} in five minutes"
                time.sleep(0.5)
        finally:
            if story.poll() is None:
                os.killpg(story.pid, signal.SIGKILL)
            story.wait()

    return kill


@pytest.fixture
def labelled_by_operator(
    run_playbook: t.Callable[..., PlaybookRun], kubeconfig: Path, kubectl: Kubectl
) -> t.Iterator[None]:
    """Two nodes that carry labels of `label` before the story: other ones, and not all three."""
    places = {
        "tianjin": {"region": "old", "zone": "old-1", "subzone": "harbour"},
        "beijing": {"subzone": "capital"},
    }
    before = labels(kubectl)
    everywhere = {"node_topology_nodes": places, "node_topology_notify_all_namespaces": True}
    hosts = {"sandbox": {"kubeconfig": str(kubeconfig), **everywhere}}
    assert run_playbook("label", hosts=hosts).rc == 0
    yield
    # What label remembers has outlived the story as well.
    assert run_playbook("label", hosts=hosts, node_topology_state="previous").rc == 0
    assert labels(kubectl) == before


@pytest.mark.usefixtures("labelled_by_operator", "nothing_left")
def test_the_story_shows_both_outcomes_after_one_that_was_killed(
    run_playbook: t.Callable[..., PlaybookRun],
    host: dict[str, t.Any],
    kill_story_when: t.Callable[..., None],
    kubectl: Kubectl,
    limited: Limited,
    audit_log: AuditLog,
    tmp_path: Path,
) -> None:
    before = labels(kubectl)
    host["kubeconfig"] = str(limited.kubeconfig)
    kill_story_when("destinationrules", "helloworld")
    assert labels(kubectl) != before
    run = run_playbook("site", hosts={"sandbox": host}, site_evidence=str(tmp_path / "evidence"))
    assert run.rc == 0, run.failures()
    written = run.results("3.5 | keep it for the summary")[0]["ansible_facts"]["site_as_written"]
    completed = run.results("3.5 | keep it for the summary")[1]["ansible_facts"]["site_completed"]
    region = run.results("4 | keep it for the summary")[0]["ansible_facts"]["site_region"]
    expected = run.results("3.5 | keep it for the summary")[0]["ansible_facts"]["site_as_written_expected"]
    # Nobody is ejected: the outage lasts until the readiness probe has failed four times, 15 s apart.
    assert (written["outcome"], completed["outcome"], region["outcome"]) == ("FAILED", "SUCCEEDED", "SUCCEEDED")
    assert 40 <= written["measured"]["time_to_shift"] <= 75
    assert written["measured"]["by_flag"].keys() & {"UF", "URX,UF", "UF,URX"}
    assert completed["measured"]["failed"] == 0
    assert {name.rpartition("/")[2] for name in completed["measured"]["by_place"]["during"]} >= {"beijing", "shenyang"}
    assert list(region["endpoints"]["during"]) != []
    assert "cn-south-1/cn-south-1a/guangzhou" in region["measured"]["by_place"]["during"]
    for drill in (written, completed, region):
        assert drill["measured"]["witnesses"]["disagreements"] == []
        assert drill["restore"]["done"]
        assert not [difference for difference in drill["restore"]["snapshot"]["differences"] if difference["ours"]]
    summary = run.results("Two outcomes, side by side")[0]["msg"]
    assert f"{written['measured']['failed']} (" in summary
    # What was predicted before the drill stands below it: four readiness probes, 15 s apart.
    assert expected["outage_between"] == [45, 60]
    least, most = (round(number) for number in expected["failed_between"])
    assert re.search(rf"\n  predicted +{least} to {most}\b", summary)
    pages = sorted((tmp_path / "evidence" / "sandbox").rglob("*.html"))
    assert [page.name for page in pages] == ["assessment.html", "report.html", "report.html", "report.html"]
    assert {page.parent.name for page in pages[1:]} == {written["id"], completed["id"], region["id"]}
    predicted = run.results("Predict | what istiod tells the client, and why")
    tables = [entry["msg"] for entry in predicted if not entry.get("skipped")]
    assert ["failover of DestinationRule" in table for table in tables] == [False, True]
    assert "✗" in summary
    # All of it with the rights of the action `site`: nothing was denied, and nothing is granted in vain.
    assert audit_log.denied(limited.user) == []
    assert audit_log.in_vain(limited.user, RIGHTS["site"], seldom=False, everywhere=False) == set()


@pytest.mark.usefixtures("nothing_left")
def test_a_story_killed_half_way_is_taken_back_by_teardown(
    run_playbook: t.Callable[..., PlaybookRun], host: dict[str, t.Any], kill_story_when: t.Callable[..., None]
) -> None:
    kill_story_when("deployments", "helloworld")
    run = run_playbook(
        "teardown",
        hosts={"sandbox": host},
        workloads_namespace=NAMESPACE,
        failover_policy_name="helloworld",
        failover_policy_namespace=NAMESPACE,
    )
    assert run.rc == 0, run.failures()


def test_a_namespace_in_which_somebody_else_made_something_stays(
    run_playbook: t.Callable[..., PlaybookRun],
    host: dict[str, t.Any],
    kill_story_when: t.Callable[..., None],
    kubectl: Kubectl,
) -> None:
    """All else is put back, the note of what was to be put back goes, and the story says what is there."""
    before = labels(kubectl)
    kill_story_when("deployments", "helloworld")
    kubectl("-n", NAMESPACE, "create", "configmap", "theirs")
    try:
        run = run_playbook("site", hosts={"sandbox": host})
        assert run.rc != 0
        assert "holds ConfigMap theirs" in run.results("Put back | why the namespace stays")[0]["msg"]
        assert any("holds what others have made" in failure for failure in run.failures())
        assert labels(kubectl) == before
        live = kubectl("get", "namespace", NAMESPACE, "-o", "json")
        assert live["status"]["phase"] == "Active"
        assert "meshops.locality/site-labels" not in live["metadata"].get("annotations", {})
        assert kubectl("-n", NAMESPACE, "get", "configmap", "theirs", "-o", "name").strip() == "configmap/theirs"
        assert kubectl("-n", NAMESPACE, "get", "deployments,services", "-o", "name") == ""
    finally:
        kubectl("delete", "namespace", NAMESPACE, "--wait=true")


def test_the_story_has_no_check_mode(
    run_playbook: t.Callable[..., PlaybookRun], host: dict[str, t.Any], kubectl: Kubectl
) -> None:
    run = run_playbook("site", hosts={"sandbox": host}, check=True)
    assert run.rc != 0
    assert any("meshops.locality.preview" in failure for failure in run.failures())
    assert "NotFound" in kubectl("get", "namespace", NAMESPACE, check=False)


@pytest.mark.parametrize("limited", ["preview", "site"], indirect=True)
def test_the_preview_changes_nothing(
    run_playbook: t.Callable[..., PlaybookRun],
    limited: Limited,
    kubectl: Kubectl,
    audit_log: AuditLog,
    request: pytest.FixtureRequest,
) -> None:
    before = labels(kubectl)
    run = run_playbook(
        "preview",
        hosts={"sandbox": {"kubeconfig": str(limited.kubeconfig), "node_topology_nodes": PLACES}},
        site_namespace=NAMESPACE,
    )
    assert audit_log.denied(limited.user) == []
    assert run.rc == 0, run.failures()
    assert f"The namespace {NAMESPACE} is created" in run.results("What this play will change")[0]["msg"]
    assert labels(kubectl) == before
    assert "NotFound" in kubectl("get", "namespace", NAMESPACE, check=False)
    if request.node.callspec.params["limited"] == "preview":
        assert audit_log.in_vain(limited.user, RIGHTS["preview"]) == set()


def test_a_namespace_of_somebody_else_is_not_touched(
    run_playbook: t.Callable[..., PlaybookRun], kubeconfig: Path, namespace: str
) -> None:
    run = run_playbook(
        "site",
        hosts={"sandbox": {"kubeconfig": str(kubeconfig), "node_topology_nodes": PLACES}},
        site_namespace=namespace,
    )
    assert run.rc != 0
    assert any("was not made by this play" in failure for failure in run.failures())
    assert run.changed == 0


def test_nothing_is_written_when_no_injector_would_inject(
    run_playbook: t.Callable[..., PlaybookRun], host: dict[str, t.Any], kubectl: Kubectl
) -> None:
    before = labels(kubectl)
    run = run_playbook("site", hosts={"sandbox": host}, workloads_revision="nowhere")
    assert run.rc != 0
    assert any("Nothing was changed." in failure and "nowhere" in failure for failure in run.failures())
    assert run.changed == 0
    assert labels(kubectl) == before
    assert "NotFound" in kubectl("get", "namespace", NAMESPACE, check=False)
