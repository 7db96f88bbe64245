# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/drill.md: every command, as it is written and in its order; only the namespace has the name of the tests."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import typing as t
from pathlib import Path

import pytest

from tests.conftest import BIN, ROOT, ansible_environment
from tests.documents import commands, files
from tests.integration.mesh import Mesh

from .conftest import View

GUIDE = (ROOT / "docs" / "drill.md").read_text(encoding="utf-8")
STOP = "meshops.locality/stop"


@pytest.fixture
def run(mesh: Mesh, kubeconfig: Path, tmp_path: Path) -> t.Callable[..., str]:
    """Run a command of the guide in a folder with its files; returns what it printed."""

    def own(text: str) -> str:
        return re.sub(r"\bsample\b", mesh.namespace, text)

    for name, text in files(GUIDE).items():
        (tmp_path / name).write_text(own(text), encoding="utf-8")
    with (tmp_path / "inventory.yml").open("a", encoding="utf-8") as file:
        file.write("      failover_drill_timeout: 20\n")  # A busy machine answers late: that is no failure.
    tools = tmp_path / "bin"
    tools.mkdir()
    if not shutil.which("kubectl"):
        program = shlex.join([sys.executable, str(BIN / "meshops-sandbox"), "kubectl", "--"])
        (tools / "kubectl").write_text(f'#!/bin/sh\nexec {program} "$@"\n', encoding="utf-8")
        (tools / "kubectl").chmod(0o755)
    environment = ansible_environment(
        tmp_path / "home", {"ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default", "KUBECONFIG": str(kubeconfig)}
    )
    environment["PATH"] += f"{os.pathsep}{tools}"

    def call(command: str, rc: int = 0) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", own(command)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=500,
            check=False,
        )
        assert done.returncode == rc, f"$ {command}\nexit code {done.returncode}\n{done.stdout}"
        return done.stdout

    return call


@pytest.fixture
def unconsenting(mesh: Mesh) -> t.Iterator[None]:
    """The namespace as it is before the guide's second step."""
    mesh.kubectl("label", "namespace", mesh.namespace, "meshops.locality/drills-")
    yield
    mesh.kubectl("label", "namespace", mesh.namespace, "meshops.locality/drills=allowed", "--overwrite")


@pytest.fixture
def completed(mesh: Mesh) -> t.Iterator[None]:
    """What a completed rule has on top of the tests' own: retries that leave the lost locality."""
    retries = {"attempts": 2, "retryRemoteLocalities": True}
    route = {"route": [{"destination": {"host": "helloworld"}}], "retries": retries}
    spec = {"hosts": ["helloworld"], "http": [route]}
    kind = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService"}
    mesh.apply({**kind, "metadata": {"name": "retries"}, "spec": spec})
    yield
    mesh.kubectl("-n", mesh.namespace, "delete", "virtualservice", "retries")


@pytest.mark.usefixtures("unconsenting", "completed")
def test_every_command(run: t.Callable[..., str], mesh: Mesh, start: t.Any, view: View, fresh: str) -> None:
    check, consent, drill, look, restore, restore_drains, stop, allow, by_hand, by_hand_again = commands(GUIDE)
    before = view.state()

    def reason() -> str:
        annotations = mesh.kubectl("-n", "istio-system", "get", "lease", "meshops-drill", "-o", "json")["metadata"]
        return str((annotations.get("annotations") or {}).get(STOP, ""))

    refused = run(check, rc=2)
    assert "REFUSED" in refused
    assert "allow drills" in refused
    run(consent)
    assert "PENDING" in run(check)
    assert "SUCCEEDED: Losing subzone cn-north-4/cn-north-4b/tianjin cost 0 of" in run(drill)
    view.equals(before)
    assert '"proven": true' in run(look)

    assert "There was nothing to restore." in run(restore)
    process = start(duration=60, dead_mans_switch=300)
    process.wait_for("phase", "observe")
    process.kill()
    (journal,) = view.journals()
    assert journal["metadata"]["name"].removeprefix("meshops-drill-") in run(restore)
    assert (view.stopped(fresh), view.journals()) == (0, [])
    view.equals(before)
    assert "There was nothing to restore." in run(restore_drains)

    try:
        run(stop)
        assert reason() == "the shop has an incident"
        assert "the shop has an incident" in run(check, rc=2)
        run(allow)
        assert reason() == ""
        run(by_hand)
        assert reason() == "the shop has an incident"
        run(by_hand_again)
        assert reason() == ""
    finally:
        mesh.kubectl("-n", "istio-system", "annotate", "lease", "meshops-drill", f"{STOP}-")
