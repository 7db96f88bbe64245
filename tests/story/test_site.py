# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tutorial's story on the cluster under test: its two outcomes, and that nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.conftest import BIN, ROOT, Kubectl, PlaybookRun, ansible_environment

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


@pytest.mark.usefixtures("nothing_left")
def test_the_story_shows_both_outcomes(run_playbook: t.Callable[..., PlaybookRun], kubeconfig: Path) -> None:
    run = run_playbook(
        "site",
        hosts={"sandbox": {"kubeconfig": str(kubeconfig), "node_topology_nodes": PLACES}},
        site_namespace=NAMESPACE,
        site_watch=72,
        site_watch_completed=20,
        site_watch_region=20,
    )
    assert run.rc == 0, run.failures()
    written = run.results("3.5 | keep it for the summary")[0]["ansible_facts"]["site_as_written"]
    completed = run.results("3.5 | keep it for the summary")[1]["ansible_facts"]["site_completed"]
    region = run.results("4 | keep it for the summary")[0]["ansible_facts"]["site_region"]
    # Nobody is ejected: the outage lasts until the readiness probe has failed four times, 15 s apart.
    assert written["outage"] >= 30
    assert written["by_flag"].keys() & {"UF", "URX,UF", "UF,URX"}
    assert completed["failed_requests"] == 0
    assert {name.rpartition("/")[2] for name in completed["by_locality"]} == {"tianjin", "beijing", "shenyang"}
    assert region["timeline"][-3]["by_locality"].keys() == {"cn-south-1/cn-south-1a/guangzhou"}
    assert all(probe["agree"] for probe in (written, completed, region))
    summary = run.results("Two outcomes, side by side")[0]["msg"]
    assert f"{written['failed_requests']} (" in summary
    assert "✗" in summary


@pytest.mark.usefixtures("nothing_left")
def test_a_story_killed_half_way_is_taken_back_by_teardown(
    run_playbook: t.Callable[..., PlaybookRun], kubeconfig: Path, kubectl: Kubectl, tmp_path: Path
) -> None:
    inventory = tmp_path / "inventory.yml"
    host = {
        "kubeconfig": str(kubeconfig),
        "node_topology_nodes": PLACES,
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
    }
    inventory.write_text(yaml.safe_dump({"all": {"hosts": {"sandbox": host}}}), encoding="utf-8")
    command = [str(BIN / "ansible-playbook"), "-i", str(inventory), "meshops.locality.site"]
    story = subprocess.Popen(
        [*command, "-e", json.dumps({"site_namespace": NAMESPACE})],
        cwd=ROOT,
        env=ansible_environment(tmp_path / "home"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while "helloworld" not in kubectl("get", "deployments", "-n", NAMESPACE, "-o", "name", check=False):
        assert story.poll() is None, "the story ended before it deployed anything"
        assert time.monotonic() < deadline, "the story deployed nothing in two minutes"
        time.sleep(0.5)
    os.killpg(story.pid, signal.SIGKILL)
    story.wait()

    run = run_playbook(
        "teardown",
        hosts={"sandbox": host},
        workloads_namespace=NAMESPACE,
        failover_policy_name="helloworld",
        failover_policy_namespace=NAMESPACE,
    )
    assert run.rc == 0, run.failures()


def test_the_preview_changes_nothing(
    run_playbook: t.Callable[..., PlaybookRun], kubeconfig: Path, kubectl: Kubectl
) -> None:
    before = labels(kubectl)
    run = run_playbook(
        "preview",
        hosts={"sandbox": {"kubeconfig": str(kubeconfig), "node_topology_nodes": PLACES}},
        site_namespace=NAMESPACE,
    )
    assert run.rc == 0, run.failures()
    assert f"The namespace {NAMESPACE} is created" in run.results("What this play will change")[0]["msg"]
    assert labels(kubectl) == before
    assert "NotFound" in kubectl("get", "namespace", NAMESPACE, check=False)


def test_a_namespace_of_somebody_else_is_not_touched(
    run_playbook: t.Callable[..., PlaybookRun], kubeconfig: Path, namespace: str
) -> None:
    run = run_playbook(
        "site",
        hosts={"sandbox": {"kubeconfig": str(kubeconfig), "node_topology_nodes": PLACES}},
        site_namespace=namespace,
    )
    assert run.rc != 0
    assert any("was not made by this collection" in failure for failure in run.failures())
    assert run.changed == 0
