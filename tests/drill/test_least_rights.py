# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill, its history and its restoration with the rights of docs/examples/drill/rights.yml: nothing is denied."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.integration.mesh import Mesh

from .conftest import View

Json = dict[str, t.Any]
RIGHTS = ROOT / "docs" / "examples" / "drill" / "rights.yml"


@pytest.fixture
def limited(mesh: Mesh, kubeconfig: Path, tmp_path: Path) -> t.Iterator[str]:
    """The kubeconfig of the ServiceAccount with the documented rights, in the mesh's namespace."""
    items = list(yaml.safe_load_all(RIGHTS.read_text(encoding="utf-8").replace("sample", mesh.namespace)))
    for item in items:
        if item["kind"].startswith("Cluster"):
            item["metadata"]["name"] += f"-{mesh.namespace}"
        if item["kind"] == "ClusterRoleBinding":
            item["roleRef"]["name"] += f"-{mesh.namespace}"
    mesh.kubectl("apply", "-f", "-", given=items)
    token = mesh.kubectl("-n", mesh.namespace, "create", "token", "drill", "--duration=3600s")
    config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    config["users"] = [{"name": "drill", "user": {"token": token}}]
    for context in config["contexts"]:
        context["context"]["user"] = "drill"
    path = tmp_path / "limited.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    yield str(path)
    mesh.kubectl("delete", "-f", "-", given=items)


def test_nothing_is_denied(
    limited: str, drill: t.Any, start: t.Any, run_module: t.Any, mesh: Mesh, view: View, fresh: str, tmp_path: Path
) -> None:
    before = view.state()
    # The documented place of the lock.
    more = {"kubeconfig": limited, "lock_namespace": "istio-system", "failback_timeout": 0, "error_budget": 0.2}
    planted = yaml.safe_load(Path(limited).read_text(encoding="utf-8"))["users"][0]["user"]["token"]
    done = drill(**more, evidence=str(tmp_path / "evidence"))
    # The token is nowhere: neither in the evidence, nor in the result, nor in the journal.
    (folder,) = (tmp_path / "evidence").iterdir()
    files = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert {"drill.json", "report.html", "journal.jsonl"} <= set(files)
    found = {**files, "result": json.dumps(done), "journal": json.dumps(view.journals("closed"))}
    payload = planted.split(".")[1]
    assert [name for name, text in found.items() if planted in text or payload in text] == []
    assert done["outcome"] in ("SUCCEEDED", "FAILED"), done["msg"]
    seen = done["drill"]
    assert seen["restore"]["snapshot"]["unread"] == []
    assert seen["measured"]["witnesses"]["unavailable"] == []
    assert not [one for one in seen["gate"] if "403" in one["what"]]
    assert not [text for text in seen["prediction"]["unchecked"] if "403" in text]
    assert not [one for one in seen["findings"] if "403" in one["what"]]
    info = run_module("failover_drill_info", kubeconfig=limited)
    assert info["unread"] == []
    view.equals(before)
    restored = run_module("failover_restore", kubeconfig=limited, namespaces=[mesh.namespace])
    assert (restored["drills"], restored["unread"]) == ([], [])


def test_a_token_that_would_not_last(limited: str, drill: t.Any, mesh: Mesh, view: View, tmp_path: Path) -> None:
    config = yaml.safe_load(Path(limited).read_text(encoding="utf-8"))
    config["users"][0]["user"]["token"] = mesh.kubectl(
        "-n", mesh.namespace, "create", "token", "drill", "--duration=600s"
    )
    short = tmp_path / "short.yaml"
    short.write_text(yaml.safe_dump(config), encoding="utf-8")
    done = drill(kubeconfig=str(short), duration=600)
    assert done["outcome"] == "REFUSED"
    assert "The bearer token is valid for" in done["msg"]
    assert view.journals() == []
