# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks drill and restore, as people run them: lines while it runs, evidence, interruptions."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

import pytest

from tests.conftest import BIN, ROOT, PlaybookRun, ansible_environment
from tests.integration.mesh import Mesh

from .conftest import View

Json = dict[str, t.Any]
EVENT = re.compile(r"^sandbox: +\d+\.\d s  (?P<phase>\w+) ", re.MULTILINE)


@pytest.fixture
def variables(options: Json) -> Json:
    """The options as variables of the role, some of them as a person writes them."""
    named = {f"failover_drill_{name}": value for name, value in options.items() if name != "kubeconfig"}
    return {**named, "failover_drill_scope": "subzone tianjin", "failover_drill_clients": "app=sleep"}


def launch(folder: Path, variables: Json, kubeconfig: Path) -> subprocess.Popen[str]:
    """Start the playbook drill with the callback that people see."""
    inventory = folder / "inventory.yml"
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory.write_text(json.dumps({"all": {"hosts": {"sandbox": local}}}), encoding="utf-8")
    environment = ansible_environment(
        folder / "home",
        {
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "K8S_AUTH_KUBECONFIG": str(kubeconfig),
            "PYTHONPATH": "",
        },
    )
    environment.pop("MESHOPS_TEST_MODULES", None)
    command = [str(BIN / "ansible-playbook"), "-i", str(inventory), "-e", json.dumps(variables)]
    return subprocess.Popen(
        [*command, "meshops.locality.drill"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=(folder / "stdout").open("w", encoding="utf-8"),
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def shown(folder: Path) -> str:
    """Return what it has printed until now."""
    return (folder / "stdout").read_text(encoding="utf-8")


def wait_for(folder: Path, process: subprocess.Popen[str], phase: str) -> None:
    until = time.monotonic() + 120
    while phase not in [event["phase"] for event in EVENT.finditer(shown(folder))]:
        assert process.poll() is None, shown(folder)
        assert time.monotonic() < until, shown(folder)
        time.sleep(0.1)


def test_lines_while_it_runs_and_the_evidence(
    variables: Json, kubeconfig: Path, tmp_path: Path, view: View, fresh: str
) -> None:
    """A password in the URL and in the title is nowhere: not printed, not in files, not in the journal."""
    before = view.state()
    url = "http://ann:p4ss@helloworld:5000/hello"
    given = {"failover_drill_url": url, "failover_drill_title": f"Tianjin is lost for {url}"}
    process = launch(tmp_path, {**variables, **given, "failover_drill_evidence": str(tmp_path / "drills")}, kubeconfig)
    wait_for(tmp_path, process, "observe")
    assert process.poll() is None, "the lines come while it runs"
    assert process.wait(timeout=300) == 0, shown(tmp_path)
    text = shown(tmp_path)
    phases = list(dict.fromkeys(event["phase"] for event in EVENT.finditer(text)))
    assert phases == [
        *("preflight", "snapshot", "prediction", "gate", "lock", "journal", "inject", "observe"),
        *("restore", "proof", "verdict"),
    ]
    assert "SUCCEEDED: Losing subzone cn-north-4/cn-north-4b/tianjin cost 0 of" in text
    (folder,) = (tmp_path / "drills").iterdir()
    assert {"drill.json", "report.html", "junit.xml", "timeline.csv", "journal.jsonl", "manifest.sha256"} <= set(
        os.listdir(folder)
    )
    assert str(folder / "report.html") in text
    view.equals(before)
    (journal,) = (
        item["data"]["journal.json"] for item in view.journals("closed") if folder.name in item["metadata"]["name"]
    )
    assert "Tianjin is lost for http://ann:********@helloworld" in journal
    written = [file.read_text(encoding="utf-8") for file in folder.iterdir()]
    assert [part for part in (text, journal, *written) if "p4ss" in part] == []


@pytest.mark.soak
def test_the_host_becomes_unreachable(
    variables: Json, kubeconfig: Path, tmp_path: Path, view: View, fresh: str
) -> None:
    """The temporary folder of the connection is gone, as on a full disk: a task cannot begin any more."""
    before = view.state()
    process = launch(tmp_path, {**variables, "failover_drill_duration": 15}, kubeconfig)
    wait_for(tmp_path, process, "observe")
    folder = tmp_path / "home" / "ansible" / "tmp"
    shutil.rmtree(folder)
    folder.write_text("", encoding="utf-8")
    process.wait(timeout=300)
    view.equals(before, 90)
    assert (view.stopped(fresh), view.timers(fresh), view.journals()) == (0, 0, [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ansible_itself_is_ended(
    number: signal.Signals,
    variables: Json,
    kubeconfig: Path,
    tmp_path: Path,
    view: View,
    fresh: str,
) -> None:
    """Ctrl-C, a cancelled job, a killed one: the module notices by itself."""
    before = view.state()
    more = {"failover_drill_duration": 60, "failover_drill_error_budget": 1.0, "failover_drill_dead_mans_switch": 120}
    process = launch(tmp_path, {**variables, **more}, kubeconfig)
    wait_for(tmp_path, process, "observe")
    assert view.stopped(fresh) == 1
    os.kill(process.pid, number)
    process.wait(timeout=120)
    view.equals(before, 90)
    until = time.monotonic() + 60
    while view.journals() and time.monotonic() < until:
        time.sleep(0.5)
    assert view.journals() == [], (tmp_path / "stdout").read_text(encoding="utf-8")
    assert (view.stopped(fresh), view.timers(fresh)) == (0, 0)


def test_the_playbook_restore(
    run_playbook: t.Callable[..., PlaybookRun], start: t.Any, kubeconfig: Path, mesh: Mesh, view: View, fresh: str
) -> None:
    before = view.state()
    process = start(duration=60, dead_mans_switch=300)
    process.wait_for("phase", "observe")
    process.kill()
    done = run_playbook("restore", kubeconfig=kubeconfig)
    assert done.rc == 0, done.failures()
    assert done.changed == 1
    view.equals(before)
    assert (view.stopped(fresh), view.timers(fresh), view.journals()) == (0, 0, [])
    again = run_playbook("restore", kubeconfig=kubeconfig)
    assert (again.rc, again.changed) == (0, 0)


def test_a_drill_that_is_refused_fails_the_play(
    run_playbook: t.Callable[..., PlaybookRun], variables: Json, kubeconfig: Path
) -> None:
    whole = {**variables, "failover_drill_scope": "label_selector app=helloworld"}
    # The gate says which URL was asked, without its password.
    whole["failover_drill_url"] = "http://ann:p4ss@helloworld:5000/absent"
    done = run_playbook("drill", kubeconfig=kubeconfig, **whole)
    assert done.rc != 0
    assert any("nothing would be left that answers" in failure for failure in done.failures())
    assert "asked http://ann:********@helloworld:5000/absent three times" in done.stdout
    assert "p4ss" not in done.stdout + done.stderr
    checked = run_playbook("drill", kubeconfig=kubeconfig, check=True, **variables)
    assert checked.rc == 0, checked.failures()
