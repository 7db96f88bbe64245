# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tutorial on clusters of one, two and three nodes, as `KUBECONFIG=… make demo` plays it: each on a sandbox of its
own, whose nodes nobody has named a place for."""

from __future__ import annotations

import contextlib
import json
import subprocess
import typing as t
import uuid
from pathlib import Path

import pytest
import yaml

from tests.conftest import BIN, PlaybookRun

REGION, ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
RunPlaybook = t.Callable[..., PlaybookRun]


class Cluster(t.NamedTuple):
    """A sandbox: its name and its kubeconfig."""

    name: str
    kubeconfig: str

    def kubectl(self, *arguments: str) -> str:
        """Run the sandbox's kubectl; return what it prints."""
        command = [str(BIN / "meshops-sandbox"), "kubectl", "--name", self.name, "--", *arguments]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout

    def labels(self) -> dict[str, dict[str, str]]:
        """Return all labels and annotations of ours, by node."""
        nodes = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        return {
            node["metadata"]["name"]: {
                **node["metadata"]["labels"],
                **{key: value for key, value in node["metadata"]["annotations"].items() if "meshops" in key},
            }
            for node in nodes
        }

    def namespaces(self) -> set[str]:
        """Return the names of all namespaces."""
        return set(self.kubectl("get", "namespaces", "-o", "name").split())


@contextlib.contextmanager
def sandbox(folder: Path, nodes: int) -> t.Iterator[Cluster]:
    """A sandbox of so many nodes that take pods: the first is the control plane, too."""
    name = f"few-{uuid.uuid4().hex[:6]}"
    command = str(BIN / "meshops-sandbox")
    topology = folder / "topology.yml"
    listed = [{"name": "node-0", "role": "control-plane"}, *({"name": f"node-{number}"} for number in range(1, nodes))]
    topology.write_text(yaml.safe_dump({"nodes": listed}), encoding="utf-8")
    try:
        subprocess.run([command, "up", "--quiet", "--name", name, "--topology", str(topology)], check=True)
        done = subprocess.run([command, "kubeconfig", "--name", name], stdout=subprocess.PIPE, text=True, check=True)
        yield Cluster(name, done.stdout.strip())
    finally:
        subprocess.run([command, "down", "--name", name], check=True, stdout=subprocess.DEVNULL)


def play(run_playbook: RunPlaybook, name: str, cluster: Cluster, **variables: t.Any) -> PlaybookRun:
    """Run a playbook on it, with few seconds of traffic where a failover takes few."""
    watch = {"site_watch_completed": 20, "site_watch_region": 20}
    return run_playbook(name, hosts={"cluster": {"kubeconfig": cluster.kubeconfig, **watch}}, **variables)


def outcomes(run: PlaybookRun) -> dict[str, str]:
    """Return the outcome of each of the story's drills, by what it is kept as."""
    results = [*run.results("3.5 | keep it for the summary"), *run.results("4 | keep it for the summary")]
    facts = [result["ansible_facts"] for result in results if not result.get("skipped")]
    return {name: drill["outcome"] for fact in facts for name, drill in fact.items() if "outcome" in drill}


def left_out(run: PlaybookRun) -> str:
    """Return what the story says that it left out."""
    return str(run.results("What a small cluster left out")[0].get("msg", ""))


def test_one_node_is_looked_at_and_nothing_is_changed(run_playbook: RunPlaybook, tmp_path: Path) -> None:
    with sandbox(tmp_path, 1) as cluster:
        before = cluster.labels(), cluster.namespaces()
        preview = play(run_playbook, "preview", cluster)
        run = play(run_playbook, "site", cluster)
        assert (cluster.labels(), cluster.namespaces()) == before
    assert (preview.rc, preview.changed) == (0, 0), preview.failures()
    assert "Nothing is changed." in preview.results("What this play will change")[0]["msg"]
    assert (run.rc, run.changed) == (0, 0), run.failures()
    (asked,) = run.results("One locality | the mesh as it is, and the tutorial's server and client in it")
    assert [row["service"] for row in asked["answers"]["plan"]] == ["helloworld.sample.svc.cluster.local"]
    assert any(finding["id"] == "ML501" for finding in asked["answers"]["lint"])
    assert "When node node-0 is lost" in run.results("One locality | what a loss means")[0]["msg"]
    assert "there is nowhere to fail over to" in left_out(run)
    assert outcomes(run) == {}


BOTH = {"site_as_written": "FAILED", "site_completed": "SUCCEEDED"}
ALL = {**BOTH, "site_region": "SUCCEEDED"}


@pytest.mark.soak
@pytest.mark.parametrize(
    ("places", "expected", "said"),
    [
        ([None, None], BOTH, "Section 4, the loss of a whole region: all places lie in cn-north-4"),
        ([("r1", "a"), ("r2", "a")], BOTH, "section 3.5 is this loss already"),
        ([None, None, None], ALL, ""),
        ([("r1", "a"), ("r1", "b"), ("r2", "a")], ALL, ""),
    ],
    ids=["two nodes", "two regions", "three nodes", "a cloud's three zones"],
)
def test_two_and_three_nodes_play_as_many_places(
    run_playbook: RunPlaybook,
    tmp_path: Path,
    places: list[tuple[str, str] | None],
    expected: dict[str, str],
    said: str,
) -> None:
    with sandbox(tmp_path, len(places)) as cluster:
        for number, place in enumerate(places):
            if place:
                cluster.kubectl("label", "node", f"node-{number}", f"{REGION}={place[0]}", f"{ZONE}={place[1]}")
        before = cluster.labels(), cluster.namespaces()
        run = play(run_playbook, "site", cluster)
        assert (cluster.labels(), cluster.namespaces()) == before
    assert run.rc == 0, run.failures()
    assert outcomes(run) == expected
    assert said in left_out(run)
    (labelled,) = run.results("2 | label the nodes with region, zone and subzone")
    assert bool(labelled.get("skipped")) == all(places)
