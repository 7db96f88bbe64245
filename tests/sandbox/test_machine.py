# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is left behind: a machine of its own is compared before and after, also when `up` was killed in the
middle."""

from __future__ import annotations

import json
import os
import signal
import time
import typing as t
import uuid

import pytest

from meshops_sandbox import cgroups, registry
from tests.sandbox.conftest import SMALL, Machine

UP = ("--topology", str(SMALL))


def assert_same(before: dict[str, set[str]], after: dict[str, set[str]]) -> None:
    for what, items in before.items():
        assert after[what] - items == set(), f"{what} left behind"
        if what != "mounts":  # those of others, copied when the machine was made, go when their owners remove them
            assert items - after[what] == set(), f"{what} gone that were there before"


def signal_up_after(machine: Machine, name: str, moment: str, number: int, *options: str) -> tuple[int, str]:
    """Start `up` and send it a signal as soon as it reports `moment`. Returns its exit code and what it said after
    that."""
    process, up = machine.popen("up", "--name", name, *UP, *options)
    assert process.stderr
    for line in process.stderr:
        if moment in line:
            break
    else:
        pytest.fail(f"up ended without telling {moment!r}")
    os.kill(up, number)
    said = process.stderr.read() if number != signal.SIGKILL else ""  # children of a killed one keep the pipe open
    return process.wait(), said


def test_down_leaves_nothing(machine: Machine, tell: t.Callable[[str], None]) -> None:
    """The whole machine, by what is there and not by names, after pods with sidecars have answered requests."""
    name = f"t-{uuid.uuid4().hex[:6]}"
    before = machine.picture()
    machine.sandbox.works("up", "--name", name, *UP)
    run_injected_pods(machine, name)
    during = machine.picture()
    for what in during:
        # ip rules are looked at, but the sandbox makes none.
        assert during[what] - before[what] or what == "rules", f"the comparison does not see {what}"
    for program in ("/bin/sleep infinity", "/helloworld", "pilot-agent proxy", "/usr/local/bin/envoy"):
        assert any(program in line for line in during["processes"]), f"the comparison does not see {program}"
    begun = time.monotonic()
    machine.sandbox.works("down", "--name", name)
    spent = time.monotonic() - begun
    assert_same(before, machine.picture())
    tell(f"down took {spent:.1f} s")


def run_injected_pods(machine: Machine, name: str) -> None:
    """A client and a server, on two nodes, each with a sidecar; ends when one has answered the other."""
    kubectl = ("kubectl", "--name", name)
    machine.sandbox.works(*kubectl, "label", "namespace", "default", "istio-injection=enabled")
    for node, image, command in (
        ("east", "docker.io/curlimages/curl:latest", ("--command", "--", "sleep", "infinity")),
        ("west", "docker.io/istio/examples-helloworld-v1:latest", ()),
    ):
        where = json.dumps({"spec": {"nodeSelector": {"kubernetes.io/hostname": node}}})
        options = (f"--image={image}", "--image-pull-policy=Never", f"--overrides={where}", "--port=5000")
        machine.sandbox.works(*kubectl, "run", node, *options, *command)
    machine.sandbox.works(*kubectl, "expose", "pod", "west", "--port=5000", "--name=http-west")
    machine.sandbox.works(*kubectl, "wait", "pod", "--all", "--for=condition=Ready", "--timeout=120s")
    for pod in json.loads(machine.sandbox.works(*kubectl, "get", "pods", "-o", "json"))["items"]:
        assert "istio-proxy" in [each["name"] for each in pod["spec"]["initContainers"]]
    ask = (*kubectl, "exec", "east", "-c", "east", "--", "curl", "-s", "http://http-west:5000/hello")
    deadline = time.monotonic() + 30
    while not (said := machine.sandbox(*ask).stdout).startswith("Hello version:"):
        assert time.monotonic() < deadline, f"no answer: {said}"
        time.sleep(0.3)


@pytest.mark.parametrize("moment", ["network: done", "API server: done", "nodes ready: done"])
def test_up_killed_in_the_middle_is_taken_away_by_down(machine: Machine, moment: str) -> None:
    name = f"t-{uuid.uuid4().hex[:6]}"
    before = machine.picture()
    signal_up_after(machine, name, moment, signal.SIGKILL)
    assert machine.picture()["links"] != before["links"], "killed too early to leave anything"
    assert machine.sandbox.status(name)["state"] == "starting"
    machine.sandbox.works("down", "--name", name)
    assert_same(before, machine.picture())


def test_an_interrupted_up_ends_at_once_and_says_what_to_do(machine: Machine) -> None:
    name = f"t-{uuid.uuid4().hex[:6]}"
    before = machine.picture()
    code, said = signal_up_after(machine, name, "nodes ready: done", signal.SIGINT)
    assert code == 130
    assert "finished or cleaned up by the next `up` or `down`" in said
    assert "Istio installed, istiod ready: done" not in said
    machine.sandbox.works("down", "--name", name)
    assert_same(before, machine.picture())


def test_up_killed_in_the_middle_is_healed_by_up(machine: Machine) -> None:
    name = f"t-{uuid.uuid4().hex[:6]}"
    before = machine.picture()
    signal_up_after(machine, name, "API server: done", signal.SIGKILL, "--no-istio", "--network", "10.99.0.0/16")
    done = machine.sandbox("up", "--name", name)
    assert done.returncode == 0, done.stderr
    assert "cleaning up what is left" in done.stderr
    found = machine.sandbox.status(name)
    assert found["state"] == "running"
    assert found["istio"] is None, "what was asked for before is forgotten"
    assert set(found["nodes"]) == {"control-plane", "east", "west"}
    assert found["network"] == "10.99.0.0/16"

    # As after a restart of the machine: everything in memory is gone, the state is still there.
    for pid in machine.processes() - {machine.holder}:
        os.kill(pid, signal.SIGKILL)
    cgroups.remove(f"{machine.cgroup}/meshops-sandbox/{name}")
    machine.run(
        "sh",
        "-c",
        "umount -l /run/netns/ms-*; umount /run/netns; rm -rf /run/meshops-sandbox /run/netns /run/containerd;"
        "ip link del meshops0; iptables -F FORWARD",
    )
    for path, _, value in (line.partition(":") for line in before["sysctls"]):
        if path.removeprefix("/proc/sys/").replace("/", ".") in registry.SYSCTLS:
            machine.run("sh", "-c", f"[ $(cat {path}) = {value} ] || echo {value} > {path}")
    record = machine.state / name / "sandbox.json"
    record.write_text(record.read_text().replace('"boot_id": "', '"boot_id": "before-'))
    found = machine.sandbox.status(name)
    assert (found["state"], found["problems"]) == ("broken", ["the machine was restarted"])
    machine.sandbox.works("down", "--name", name)
    assert_same(before, machine.picture())


def test_what_another_version_left_is_told_and_taken_away(machine: Machine) -> None:
    name = f"t-{uuid.uuid4().hex[:6]}"
    before = machine.picture()
    state = machine.state / name
    state.mkdir(parents=True)
    (state / "sandbox.json").write_text(f'{{"name": "{name}", "istio_line": "1.31", "phase": "running"}}')
    machine.run("mkdir", "-p", f"/run/meshops-sandbox/{name}")
    machine.run(
        "sh", "-c", f"""echo '{{"sandboxes": {{"{name}": {{"number": 1}}}}}}' >/run/meshops-sandbox/registry.json"""
    )
    found = machine.sandbox.status(name)
    assert found["state"] == "broken"
    assert "`up` makes it anew, `down` works" in found["problems"][0]
    assert name in machine.sandbox.works("list")
    assert f"sandbox '{name}' is gone" in machine.sandbox("down", "--name", name).stderr
    assert machine.sandbox.status(name)["state"] == "absent"
    assert_same(before, machine.picture())
