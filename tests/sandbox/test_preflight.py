# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight: one clear sentence for each thing in the way, before anything is changed."""

from __future__ import annotations

import dataclasses
import ipaddress
import json
import os
import subprocess
import uuid
from pathlib import Path

import click.testing
import pytest

from meshops_sandbox import cli, machine_state, preflight
from meshops_sandbox.errors import PreflightError
from meshops_sandbox.layout import MAX_SANDBOXES, network_of
from meshops_sandbox.topology import TOPOLOGIES

GOOD = preflight.Host(
    platform="linux",
    user=0,
    capabilities=(1 << 41) - 1,
    commands=set(preflight.COMMANDS),
    cni=Path("/usr/lib/cni"),
    controllers={"cpu", "cpuset", "memory", "pids"},
    kernel_missing=(),
    free_bytes=10 * 1024**3,
    memory_bytes=8 * 1024**3,
    state=Path("/state"),
)


def test_a_good_machine_passes() -> None:
    preflight.check(GOOD)


def test_this_machine_passes(tmp_path: Path) -> None:
    preflight.check(preflight.look(tmp_path))


@pytest.mark.parametrize(
    ("change", "sentence", "remedy"),
    [
        ({"platform": "darwin"}, "needs Linux, this is darwin", "virtual machine"),
        ({"user": 1000}, "needs root", "sudo"),
        ({"capabilities": ((1 << 41) - 1) & ~(1 << 21)}, "CAP_SYS_ADMIN are missing", "privileged"),
        (
            {"commands": set(preflight.COMMANDS) - {"containerd"}},
            "Not installed: containerd.",
            "apt-get install containerd.",
        ),
        ({"cni": None}, "CNI plugins ptp, host-local, portmap", "containernetworking-plugins"),
        ({"controllers": {"cpu", "cpuset", "pids"}}, "no cgroup controller memory", "cgroup"),
        ({"kernel_missing": ("overlayfs (unknown filesystem type)",)}, "cannot do overlayfs", "modprobe"),
        ({"free_bytes": 1024**3}, "Only 1.0 GiB are free in /state", "MESHOPS_SANDBOX_STATE"),
        ({"memory_bytes": 1024**3}, "Only 1.0 GiB of memory are available", "smaller topology"),
    ],
)
def test_one_sentence_for_each_thing_in_the_way(change: dict[str, object], sentence: str, remedy: str) -> None:
    with pytest.raises(PreflightError) as caught:
        preflight.check(dataclasses.replace(GOOD, **change))
    assert sentence in caught.value.sentence
    assert remedy in caught.value.remedy
    assert not caught.value.details


def test_what_the_build_can_install_is_not_in_the_way() -> None:
    bare = dataclasses.replace(GOOD, commands=set(), cni=None)
    preflight.check(dataclasses.replace(bare, installer=True))
    assert not bare.complete
    with pytest.raises(PreflightError, match="Not installed: containerd"):
        preflight.check(bare)


def test_several_things_are_told_at_once() -> None:
    with pytest.raises(PreflightError) as caught:
        preflight.check(dataclasses.replace(GOOD, cni=None, free_bytes=0))
    assert len(caught.value.details) == 1


@pytest.mark.parametrize(
    ("wanted", "sentence"), [("10.1", "is not an IPv4"), ("10.1.0.0/24", "is a /24"), ("10.1.2.3/16", "host bits")]
)
def test_networks_that_cannot_be(wanted: str, sentence: str) -> None:
    with pytest.raises(PreflightError, match=sentence):
        preflight.check_network(wanted)


def test_no_index_is_free_when_all_are_taken() -> None:
    taken = {f"s{index}": machine_state.Entry(index, str(network_of(index)), "/s") for index in range(MAX_SANDBOXES)}
    with pytest.raises(PreflightError, match="No network is free"):
        preflight.free_index(machine_state.Registry(sandboxes=taken))


def test_a_network_of_another_sandbox_is_not_given_twice() -> None:
    taken = machine_state.Registry(sandboxes={"other": machine_state.Entry(0, "10.55.0.0/16", "/s")})
    with pytest.raises(PreflightError, match="belongs to another sandbox"):
        preflight.free_index(taken, ipaddress.IPv4Network("10.55.0.0/16"))


def test_the_directory_of_all_states_may_go_while_the_machine_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another command takes the last sandbox away in the second that probing the kernel takes."""
    states = tmp_path / "states"
    states.mkdir()

    def probe() -> tuple[str, ...]:
        states.rmdir()
        return ()

    monkeypatch.setattr(preflight, "_probe", probe)
    assert preflight.look(states / "mine").free_bytes > 0
    assert not states.exists()


class InProcess:
    """The command line without a process of its own for each command: nothing here gets far enough to need one."""

    def __init__(self, state: Path) -> None:
        self._state = state

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        variables = {"MESHOPS_SANDBOX_STATE": str(self._state), **environment}
        done = click.testing.CliRunner().invoke(cli.main, list(arguments), env=variables)
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def sandbox(tmp_path: Path) -> InProcess:
    return InProcess(tmp_path / "states")


def nothing_changed(sandbox: InProcess, name: str) -> bool:
    state = json.loads(sandbox("status", "--name", name, "--json").stdout)["state"]
    return state == "absent" and name not in machine_state.read().sandboxes


def test_a_missing_program_is_named(sandbox: InProcess, tmp_path: Path) -> None:
    for program in set(preflight.COMMANDS) - {"containerd"}:
        target = next(
            path for path in (f"/usr/sbin/{program}", f"/usr/bin/{program}", f"/bin/{program}") if os.path.exists(path)
        )
        (tmp_path / program).symlink_to(target)
    done = sandbox("up", "--name", "t-path", PATH=str(tmp_path))
    assert done.returncode == 3
    assert "Not installed: containerd." in done.stderr
    assert "→ Install them: apt-get install containerd." in done.stderr
    assert nothing_changed(sandbox, "t-path")


def test_a_network_in_use_is_named(sandbox: InProcess) -> None:
    link = f"t{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "link", "add", link, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", "10.199.7.1/24", "dev", link], check=True)
        done = sandbox("up", "--name", "t-net", "--network", "10.199.0.0/16")
    finally:
        subprocess.run(["ip", "link", "del", link], check=True)
    assert done.returncode == 3
    assert f"10.199.0.0/16 is already in use on this machine: 10.199.7.0/24 on {link}" in done.stderr
    assert nothing_changed(sandbox, "t-net")


def test_no_space_is_said(sandbox: InProcess, tmp_path: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m", "none", str(tmp_path)], check=True)
    try:
        done = sandbox("up", "--name", "t-space", MESHOPS_SANDBOX_STATE=str(tmp_path))
        left = list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert done.returncode == 3
    assert f"Only 0.0 GiB are free in {tmp_path}/t-space" in done.stderr
    assert not left


@pytest.mark.parametrize("arguments", [("--name", "No"), ("--name", "../x")])
def test_illegal_names_are_refused(sandbox: InProcess, arguments: tuple[str, ...]) -> None:
    for command in ("up", "down", "status"):
        done = sandbox(command, *arguments)
        assert done.returncode == 3
        assert "cannot be the name of a sandbox" in done.stderr


def test_a_topology_that_is_wrong_is_refused_before_anything(sandbox: InProcess, tmp_path: Path) -> None:
    (tmp_path / "t.yml").write_text("nodes: [{name: a}]")
    done = sandbox("up", "--name", "t-file", "--topology", str(tmp_path / "t.yml"))
    assert done.returncode == 4
    assert "exactly one node must have the role control-plane" in done.stderr
    assert nothing_changed(sandbox, "t-file")


def test_another_command_at_work_is_named(sandbox: InProcess) -> None:
    with machine_state.working_on("t-busy", "up"):
        done = sandbox("up", "--name", "t-busy", "--topology", str(TOPOLOGIES / "small.yml"))
    assert done.returncode == 6
    assert f"Another command is working on the sandbox 't-busy': up (process {os.getpid()})" in done.stderr


def test_what_needs_a_running_sandbox_says_so(sandbox: InProcess) -> None:
    for command in ("kubeconfig", "env", "kubectl", "istioctl", "logs", "reset", "topology"):
        done = sandbox(command, "--name", "t-none")
        assert done.returncode == 5, command
        assert "sandbox 't-none'" in done.stderr
    assert sandbox("down", "--name", "t-none").returncode == 0


@pytest.mark.parametrize("command", [("down",), ("up",), ("up", "--fresh")])
@pytest.mark.parametrize("record", [None, "{}", '{"name": "t-other"}', "not JSON"])
def test_a_directory_without_a_record_of_this_sandbox_is_not_touched(
    sandbox: InProcess, tmp_path: Path, command: tuple[str, ...], record: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MESHOPS_SANDBOX_STATE may name any directory, and a sandbox may have the name of what is in it."""
    monkeypatch.setattr(preflight, "look", lambda _state: GOOD)
    folder = tmp_path / "states" / "t-mine"
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    if record is not None:
        (folder / "sandbox.json").write_text(record)
    done = sandbox(*command, "--name", "t-mine")
    assert done.returncode == 3
    assert f"{folder} exists and has no record (sandbox.json) of a sandbox 't-mine': it is not touched." in done.stderr
    assert "MESHOPS_SANDBOX_STATE" in done.stderr
    assert (folder / "thesis.txt").read_text() == "years of work"
    assert "t-mine" not in machine_state.read().sandboxes
