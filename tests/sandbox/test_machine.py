# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is left behind: a machine of its own is compared before and after, also when `up` was killed in the
middle."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import typing as t
import uuid

import psutil
import pytest

from meshops_sandbox import cgroups, machine_state
from meshops_sandbox.time_limits import stretched
from tests.sandbox.conftest import SMALL, Machine

UP = ("--topology", str(SMALL))


def assert_same(before: dict[str, set[str]], after: dict[str, set[str]]) -> None:
    # The kernel's own sysctls are the host's, and the first and the last sandbox there change them for all.
    others = before["sandboxes of the host"] != after["sandboxes of the host"]
    for what in before.keys() - {"sandboxes of the host"}:
        was, now = (_of_network(each[what]) if what == "sysctls" and others else each[what] for each in (before, after))
        assert now - was == set(), f"{what} left behind"
        if what != "mounts":  # those of others, copied when the machine was made, go when their owners remove them
            assert was - now == set(), f"{what} gone that were there before"


def _of_network(sysctls: set[str]) -> set[str]:
    return {line for line in sysctls if line.startswith("/proc/sys/net/")}


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
    for what in during.keys() - {"sandboxes of the host"}:
        # ip rules are looked at, but the sandbox makes none.
        assert during[what] - before[what] or what == "rules", f"the comparison does not see {what}"
    for program in ("/bin/sleep infinity", "/helloworld", "pilot-agent proxy", "/usr/local/bin/envoy"):
        assert any(program in line for line in during["processes"]), f"the comparison does not see {program}"
    machine.sandbox.works("node", "stop", "--name", name, "west")
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
    machine.sandbox.works(*kubectl, "wait", "pod", "--all", "--for=condition=Ready", f"--timeout={stretched(120):.0f}s")
    for pod in json.loads(machine.sandbox.works(*kubectl, "get", "pods", "-o", "json"))["items"]:
        assert "istio-proxy" in [each["name"] for each in pod["spec"]["initContainers"]]
    ask = (*kubectl, "exec", "east", "-c", "east", "--", "curl", "-s", "http://http-west:5000/hello")
    deadline = time.monotonic() + stretched(30)
    while not (said := machine.sandbox(*ask).stdout).startswith("Hello version:"):
        assert time.monotonic() < deadline, f"no answer: {said}"
        time.sleep(0.3)


def test_what_earlier_versions_left_of_pods_is_taken_away_and_nothing_else(machine: Machine) -> None:
    """Earlier versions let containerd put pods into /k8s.io, where their `down` did not look. The same is done here: a
    kubelet without QoS cgroups, then all that their `down` did. Another containerd's container is there as well."""
    name = f"t-{uuid.uuid4().hex[:6]}"
    foreign, known = _container_of_others(machine), "ef" * 32
    try:
        before = machine.picture()
        machine.sandbox.works("up", "--name", name, *UP, "--no-istio")
        _without_qos_cgroups(machine, name)
        inside = f"{machine.cgroup}/k8s.io"
        assert {_command(pid).split(" ")[0] for pid in cgroups.processes(inside)} >= {"/bin/sleep", "/coredns"}
        cgroups.end(f"{machine.cgroup}/meshops-sandbox/{name}")
        cgroups.remove(f"{machine.cgroup}/meshops-sandbox/{name}")
        machine.run("sh", "-c", "umount -l /run/netns/ms-*; rm /run/netns/ms-*; ip link del meshops0")
        machine.run("iptables", "-F", "FORWARD")
        machine.run("rm", "-rf", str(machine.state / name), f"/run/meshops-sandbox/{name}")
        written = json.loads(machine.run("cat", "/run/meshops-sandbox/registry.json"))
        written["sandboxes"].pop(name)
        machine.run("sh", "-c", f"echo '{json.dumps(written)}' > /run/meshops-sandbox/registry.json")
        left = machine.picture()
        for what in ("processes", "namespaces", "cgroups"):
            assert left[what] - before[what], f"no {what} were left"
        empty = cgroups.tracking() / inside / ("ab" * 32)
        empty.mkdir()

        done = machine.sandbox("down", "--all")
        assert done.returncode == 0, done.stderr
        assert "earlier versions had left" in done.stderr
        assert not empty.exists()
        assert_same(before, machine.picture())
        assert foreign.poll() is None
        assert (cgroups.tracking() / inside / known).is_dir()
    finally:
        machine.sandbox("down", "--all")  # the next test begins with nothing, however this one ended
        for identifier in (_FOREIGN, known):  # what waits for the process ends with it
            cgroups.remove(f"{machine.cgroup}/k8s.io/{identifier}")
        foreign.wait()


_FOREIGN = "cd" * 32


def _container_of_others(machine: Machine) -> subprocess.Popen[bytes]:
    """What must stay: the shim of another containerd, in a cgroup like those of pods, and the empty cgroup of a
    container that this containerd knows, by the directory next to the shim's own."""
    for identifier in (_FOREIGN, "ef" * 32):
        (cgroups.tracking() / machine.cgroup / "k8s.io" / identifier).mkdir(parents=True)
    entrance = cgroups.tracking() / "k8s.io" / _FOREIGN / "cgroup.procs"  # as it is called in the machine
    tasks = machine.home.parent / "tasks"
    for identifier in (_FOREIGN, "ef" * 32):
        (tasks / identifier).mkdir(parents=True, exist_ok=True)
    script = f"cd {tasks / _FOREIGN}; echo $$ > {entrance}; exec -a containerd-shim-runc-v2 sleep infinity"
    started = subprocess.Popen([*machine.prefix, "bash", "-c", script])
    deadline = time.monotonic() + stretched(10)
    # It is in the cgroup as a shell first, and what it is then stands in no later picture.
    while not any(map(_is_shim, cgroups.processes(f"{machine.cgroup}/k8s.io/{_FOREIGN}"))):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return started


def _is_shim(pid: int) -> bool:
    return _command(pid).startswith("containerd-shim-runc-v2 ")


def _without_qos_cgroups(machine: Machine, name: str) -> None:
    """Make CoreDNS's pod anew by a kubelet that is set up as earlier versions did."""
    node = machine.state / name / "nodes" / "control-plane"
    file = node / "kubelet.yaml"
    file.write_text(file.read_text().replace("cgroupsPerQOS: true", "cgroupsPerQOS: false"))
    for pid in cgroups.processes(f"{machine.cgroup}/meshops-sandbox/{name}/daemons"):
        if f"--config={file}" in _command(pid).split(" "):
            os.kill(pid, signal.SIGKILL)
    dns = ("kubectl", "--name", name, "-n", "kube-system")
    machine.sandbox.works(*dns, "delete", "pod", "-l", "k8s-app=kube-dns")
    patience = f"--timeout={stretched(90):.0f}s"
    machine.sandbox.works(*dns, "wait", "deployment", "coredns", "--for=condition=Available", patience)
    deadline = time.monotonic() + stretched(60)
    while not any("/coredns" in _command(pid) for pid in cgroups.processes(f"{machine.cgroup}/k8s.io")):
        assert time.monotonic() < deadline, "the pod is not in /k8s.io"
        time.sleep(0.3)


def _command(pid: int) -> str:
    try:
        return " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""


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
    status = machine.sandbox.status(name)
    assert status["state"] == "running"
    assert status["istio"] is None, "what was asked for before is forgotten"
    assert set(status["nodes"]) == {"control-plane", "east", "west"}
    assert status["network"] == "10.99.0.0/16"

    # As after a restart of the machine: everything in memory is gone, the state is still there.
    for pid in machine.processes() - {machine.holder}:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself, or with the one it belonged to
            os.kill(pid, signal.SIGKILL)
    cgroups.remove(f"{machine.cgroup}/meshops-sandbox/{name}")
    machine.run(
        "sh",
        "-c",
        "umount -l /run/netns/ms-*; umount /run/netns; rm -rf /run/meshops-sandbox /run/netns /run/containerd;"
        "ip link del meshops0; iptables -F FORWARD",
    )
    for path, _, value in (line.partition(":") for line in before["sysctls"]):
        if path.removeprefix("/proc/sys/").replace("/", ".") in machine_state.SYSCTLS:
            machine.run("sh", "-c", f"[ $(cat {path}) = {value} ] || echo {value} > {path}")
    record = machine.state / name / "sandbox.json"
    record.write_text(record.read_text().replace('"boot_id": "', '"boot_id": "before-'))
    status = machine.sandbox.status(name)
    assert (status["state"], status["problems"]) == ("broken", ["the machine was restarted"])
    machine.sandbox.works("down", "--name", name)
    assert_same(before, machine.picture())


def test_what_another_version_left_is_told_and_taken_away(machine: Machine) -> None:
    name = f"t-{uuid.uuid4().hex[:6]}"
    state = machine.state / name
    state.parent.mkdir(parents=True)
    before = machine.picture()
    state.mkdir()
    (state / "sandbox.json").write_text(f'{{"name": "{name}", "istio_line": "1.31", "phase": "running"}}')
    machine.run("mkdir", "-p", f"/run/meshops-sandbox/{name}")
    machine.run(
        "sh",
        "-c",
        f"""echo '{{"sandboxes": {{"{name}": {{"number": 1}}}}}}' >/run/meshops-sandbox/registry.json""",
    )
    status = machine.sandbox.status(name)
    assert status["state"] == "broken"
    assert "`up` makes it anew, `down` works" in status["problems"][0]
    assert name in machine.sandbox.works("list")
    assert f"sandbox '{name}' is gone" in machine.sandbox("down", "--name", name).stderr
    assert machine.sandbox.status(name)["state"] == "absent"
    assert_same(before, machine.picture())
    shutil.rmtree(machine.home / ".local")


def test_nodes_are_not_reached_through_the_machine_from_elsewhere(machine: Machine) -> None:
    """Only the network of a sandbox is made here: a node that is reached refuses the connection, nothing listens."""
    before = machine.picture()
    make = (
        "import sys; from pathlib import Path; from meshops_sandbox import network, topology;"
        "from meshops_sandbox.layout import Layout, network_of;"
        "layout = Layout('t-reach', 0, network_of(0), topology.load(Path(sys.argv[1])), Path('/nowhere'))\n"
    )
    connect = (
        "import socket, sys\n"
        "try: socket.create_connection((sys.argv[1], 10250), timeout=3)\n"
        "except OSError as error: print(type(error).__name__)"
    )
    python = (sys.executable, "-c")
    try:
        printed = machine.run(*python, f"{make}network.create(layout); print(layout.nodes[1].address)", str(SMALL))
        address = printed.strip()
        machine.run("sh", "-c", "iptables -P FORWARD ACCEPT; echo 1 > /proc/sys/net/ipv4/ip_forward")
        machine.run("ip", "netns", "add", "elsewhere")
        machine.run("ip", "link", "add", "outside", "type", "veth", "peer", "name", "eth0", "netns", "elsewhere")
        for side, own, link in ((("ip",), "192.0.2.1/24", "outside"), (ELSEWHERE, "192.0.2.2/24", "eth0")):
            machine.run(*side, "addr", "add", own, "dev", link)
            machine.run(*side, "link", "set", link, "up")
        machine.run(*ELSEWHERE, "route", "add", "default", "via", "192.0.2.1")
        stranger = ("ip", "netns", "exec", "elsewhere", *python, connect, address)
        assert machine.run(*python, connect, address).strip() == "ConnectionRefusedError"
        assert machine.run(*stranger).strip() == "TimeoutError"
        machine.run("iptables", "-F", "FORWARD")
        assert machine.run(*stranger).strip() == "ConnectionRefusedError", "it is the rule that keeps the stranger out"
        machine.run(*python, f"{make}network._set_firewall(layout)", str(SMALL))
    finally:
        machine.run(*python, f"{make}network.remove(layout.name, layout.alias, layout.bridge)", str(SMALL))
        machine.run("sh", "-c", "iptables -P FORWARD DROP; echo 0 > /proc/sys/net/ipv4/ip_forward")
        machine.run("sh", "-c", "ip link del outside; ip netns del elsewhere; umount /run/netns; rmdir /run/netns")
    assert_same(before, machine.picture())


ELSEWHERE = ("ip", "-netns", "elsewhere")
