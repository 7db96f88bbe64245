# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lint under real Ansible: the playbook over a folder, without a cluster; the filters' bad arguments."""

from __future__ import annotations

import json
import os
import re
import subprocess
import typing as t
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.conftest import BIN, ROOT
from tests.unit.plugins.module_utils._lint.meshes import COMPLETED, RETRIES, TUTORIAL_RULE, istio, tutorial

CLEAN = tutorial(TUTORIAL_RULE, istio("VirtualService", "helloworld", "sample", RETRIES), **COMPLETED)


def lint(folder: Path, objects: list[t.Any], **variables: t.Any) -> subprocess.CompletedProcess[str]:
    """Run the playbook over manifests, where there is neither a kubeconfig nor the Python library kubernetes."""
    manifests = folder / "manifests"
    manifests.mkdir(exist_ok=True)
    (manifests / "all.yaml").write_text(yaml.safe_dump_all(objects), encoding="utf-8")
    blocker = folder / "without" / "kubernetes"
    blocker.mkdir(parents=True, exist_ok=True)
    (blocker / "__init__.py").write_text("raise ImportError('not here')\n", encoding="utf-8")
    command = [str(BIN / "ansible-playbook"), "meshops.locality.lint"]
    extra = {"lint_manifests": str(manifests), "lint_istio_version": "1.31", **variables}
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("K8S_AUTH_", "ANSIBLE_"))},
        "KUBECONFIG": str(folder / "nowhere"),
        "PYTHONPATH": str(folder / "without"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    }
    return subprocess.run(
        [*command, "-e", json.dumps(extra)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def test_a_build_fails_with_a_readable_reason(tmp_path: Path) -> None:
    files = {name: str(tmp_path / f"lint.{name}") for name in ("sarif", "junit", "json")}
    done = lint(tmp_path, tutorial(), **{f"lint_{name}": path for name, path in files.items()})
    assert done.returncode != 0
    assert "1 finding of severity error (ML202)." in done.stdout, done.stdout + done.stderr
    assert "allows 0 ejections" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert "1 error, 1 warning, 2 info." in done.stdout
    document = json.loads(Path(files["json"]).read_text(encoding="utf-8"))
    assert document["summary"]["error"] == 1
    sarif = json.loads(Path(files["sarif"]).read_text(encoding="utf-8"))
    assert sarif["version"] == "2.1.0"
    begins = document["findings"][0]["source"]
    assert re.fullmatch(r".*manifests/all\.yaml:[1-9]\d*", begins)
    place = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert f"{place['artifactLocation']['uri']}:{place['region']['startLine']}" == begins
    text = (tmp_path / "manifests" / "all.yaml").read_text(encoding="utf-8")
    rule = "\n".join(text.splitlines()[int(begins.rpartition(":")[2]) - 1 :]).partition("\n---")[0]
    assert yaml.safe_load(rule)["kind"] == "DestinationRule"
    assert ElementTree.parse(files["junit"]).getroot().tag == "testsuites"


def test_a_clean_mesh_passes(tmp_path: Path) -> None:
    done = lint(tmp_path, CLEAN, lint_fail_on="warning")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 errors, 0 warnings" in done.stdout


def test_suppressed_findings_pass(tmp_path: Path) -> None:
    done = lint(tmp_path, tutorial(), lint_suppress=[{"id": "ML202", "reason": "a demonstration"}])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "suppressed ML202" in done.stdout


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"lint_fail_on": "fatal"}, "fail_on is 'fatal', but must be one of error, warning, info, never"),
        ({"lint_manifests": "/nowhere"}, "There is no file or folder /nowhere"),
        ({"lint_suppress": ["ML202"]}, "suppress[0]: expected {id, object, reason}, got str"),
        ({"lint_istio_version": "9.9"}, "Istio '9.9' is not among the versions"),
        ({"lint_next_version": "9.9"}, "Istio '9.9' is not among the versions"),
        ({"lint_min_severity": "fatal"}, "min_severity is 'fatal', but must be one of error, warning, info"),
    ],
)
def test_wrong_variables_are_named(tmp_path: Path, variables: dict[str, t.Any], expected: str) -> None:
    done = lint(tmp_path, CLEAN, **variables)
    assert done.returncode != 0
    assert expected in " ".join((done.stdout + done.stderr).split())
    assert "Traceback" not in done.stdout + done.stderr


def test_bad_arguments_of_filters(run_playbook: t.Any) -> None:
    cases = [
        ("'x' | meshops.locality.locality_lint", "Not a snapshot: the text is no JSON"),
        ("{'schema': 'x'} | meshops.locality.locality_lint", "Not a snapshot of this version"),
        ("{} | meshops.locality.locality_lint(observed='x')", "Not a snapshot"),
        ("{} | meshops.locality.locality_lint(version='1.31')", "Not a snapshot"),
        ("7 | meshops.locality.lint_report", "findings: expected a list, got int"),
        ("[] | meshops.locality.lint_report('pdf')", "format: 'pdf' is not one of text, json, junit, sarif"),
        ("[] | meshops.locality.lint_report(strict=3)", "strict must be true or false"),
        ("[] | meshops.locality.lint_report(width=3)", "width must be a whole number from 40 up"),
    ]
    tasks = [
        {"name": f"task {n}", "ansible.builtin.debug": {"msg": "{{ " + text + " }}"}, "ignore_errors": True}
        for n, (text, _told) in enumerate(cases)
    ]
    results = run_playbook([{"hosts": "all", "gather_facts": False, "tasks": tasks}]).results()
    for (expression, expected), result in zip(cases, results, strict=True):
        assert result.get("failed"), expression
        assert expected in result["msg"], (expression, result["msg"])
