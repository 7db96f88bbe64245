# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox on a machine that is nothing but a stock Debian: run by `make stock-debian`, in a virtual machine."""

from __future__ import annotations

import sys
import time
import typing as t
import uuid
from pathlib import Path

import psutil
import pytest

from tests.sandbox.conftest import SMALL, Command, Machine
from tests.sandbox.test_machine import assert_same, run_injected_pods

pytestmark = pytest.mark.stock_debian

#: What systemd and the journal write as time goes by, and what a user's tools leave in their caches.
_OTHERS = ("/run/systemd/", "/run/log/", "/run/udev/", "/run/user/", "/var/log/journal/", f"{Path.home()}/.cache/")


class WholeMachine(Machine):
    """This machine itself, with everything on it."""

    @property
    def prefix(self) -> tuple[str, ...]:
        return ()

    @property
    def sandbox(self) -> Command:
        """With the PATH of a user who became root by `su`: without sbin."""
        return Command({**super().sandbox.environment, "PATH": "/usr/local/bin:/usr/bin:/bin"}, self.prefix)

    def picture(self) -> dict[str, set[str]]:
        """Everything a sandbox could leave behind. Threads of the kernel, which come and go, have no command."""
        everything = super().picture()
        everything["processes"] = {line for line in everything["processes"] if _has_command(line)}
        everything["files"] = {line for line in everything["files"] if not line.startswith(_OTHERS)}
        return everything


def _has_command(line: str) -> bool:
    number, _, command = line.partition(": ")
    return bool(command) and int(number) != psutil.Process().pid and command != "(ended)"


def say(text: str) -> None:
    """Print what happens, at once: an emulated machine takes its time."""
    sys.stdout.write(f"    {text}\n")
    sys.stdout.flush()


def step(name: str, work: t.Callable[[], t.Any]) -> None:
    say(f"{name} …")
    begun = time.monotonic()
    work()
    say(f"{name}: {time.monotonic() - begun:.0f} s")


def test_up_injected_pods_traffic_and_down_leave_the_machine_as_it_was() -> None:
    """With systemd, cgroup v2 only, AppArmor, and no sbin in PATH."""
    machine = WholeMachine(1, "", Path.home())
    name = f"t-{uuid.uuid4().hex[:6]}"
    machine.run("iptables", "-P", "FORWARD", "DROP")  # as Docker leaves it
    before = machine.picture()
    try:
        step("up", lambda: machine.sandbox.works("up", "--name", name, "--topology", str(SMALL)))
        step("two injected pods, a request", lambda: run_injected_pods(machine, name))
        status = machine.sandbox.status(name)
        say(f"status: {status}")
        during = machine.picture()
        for program in ("/bin/sleep infinity", "/helloworld", "pilot-agent proxy", "/usr/local/bin/envoy"):
            assert any(program in line for line in during["processes"]), f"the comparison does not see {program}"
    finally:
        step("down", lambda: machine.sandbox.works("down", "--name", name))
    assert_same(before, machine.picture())
