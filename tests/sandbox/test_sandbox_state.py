# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of sandboxes, read by a version that did not write it."""

from __future__ import annotations

import dataclasses
import json
import typing as t
from pathlib import Path

import pytest

from meshops_sandbox import lifecycle, machine_state, sandbox_state, topology
from meshops_sandbox.progress import Progress


def saved_record(tmp_path: Path, **changes: t.Any) -> sandbox_state.Record:
    paths = {name: str(tmp_path / name) for name in ("kubernetes", "istio", "image_store")}
    texts = dict.fromkeys(("istio_line", "istio_version", "istio_hub", "kubernetes_version"), "1")
    fields: dict[str, t.Any] = {
        "name": "mine",
        "index": 0,
        "network": "10.160.0.0/16",
        "topology": topology.load(topology.TOPOLOGIES / "small.yml").model_dump(mode="json"),
        "istio_line": "1.30",
        "phase": "starting",
        "boot_id": "x",
        "artifacts": {**paths, **texts, "images": {}},
        "started": 0.0,
    }
    return sandbox_state.Record(**{**fields, **changes})


def request(**asked: t.Any) -> lifecycle.Request:
    nothing: dict[str, t.Any] = {"topology": None, "line": None, "mesh": None, "network": None}
    default = topology.load(topology.DEFAULT_TOPOLOGY)
    return lifecycle.Request("mine", **{**nothing, **asked}, default_topology=lambda: default)


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "no network"},
        {"topology": {"nodes": [{"name": "a", "unheard-of": 1}]}},
        {"artifacts": {"kubernetes": "/k"}},
        {"artifacts": {}},
    ],
)
def test_a_record_of_another_version_is_stale(tmp_path: Path, changes: dict[str, t.Any]) -> None:
    saved_record(tmp_path, **changes).write(tmp_path)
    assert sandbox_state.read(tmp_path) is None
    assert sandbox_state.is_stale(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": "mine", "unheard-of": 1}'])
def test_a_damaged_record_is_stale(tmp_path: Path, text: str) -> None:
    (tmp_path / sandbox_state.FILE).write_text(text)
    assert sandbox_state.read(tmp_path) is None
    assert sandbox_state.is_stale(tmp_path)


def test_a_good_record_is_not_stale_and_none_is_neither(tmp_path: Path) -> None:
    assert not sandbox_state.is_stale(tmp_path)
    saved_record(tmp_path).write(tmp_path)
    assert sandbox_state.read(tmp_path) == saved_record(tmp_path)
    assert not sandbox_state.is_stale(tmp_path)


def test_a_registry_of_another_version_gives_what_can_be_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "registry.json"
    monkeypatch.setattr(machine_state, "_REGISTRY", file)
    good = {"index": 3, "network": "10.163.0.0/16", "state": "/state/good", "unheard-of": True}
    written = {
        "sandboxes": {"good": good, "old": {"index": 1}, "bad": {**good, "network": "x"}, "odd": 7},
        "sysctls": {"net.ipv4.ip_forward": 0, "kernel.unheard_of": 1},
        "directories": ["/var/lib/cni", "/home"],
    }
    file.write_text(json.dumps(written))
    assert machine_state.read() == machine_state.Registry(
        {"good": machine_state.Entry(3, "10.163.0.0/16", "/state/good")}, {"net.ipv4.ip_forward": 0}, ["/var/lib/cni"]
    )
    for text in ("", "[]", "{}", "null", '{"sandboxes": [], "sysctls": 1, "directories": null}'):
        file.write_text(text)
        assert machine_state.read() == machine_state.Registry()


def test_an_interrupted_sandbox_is_made_as_it_was_asked_for(tmp_path: Path) -> None:
    before = saved_record(tmp_path, asked_network="10.42.0.0/16")
    completed = lifecycle._as_before(request(), before)
    assert completed.topology is not None
    assert completed.topology.model_dump(mode="json") == before.topology
    assert (completed.line, completed.mesh, completed.network) == ("1.30", True, "10.42.0.0/16")

    bare = dataclasses.replace(before, istio_line=None)
    assert lifecycle._as_before(request(), bare).mesh is False
    assert lifecycle._as_before(request(line="1.31"), bare).mesh is None  # asking for Istio is asking for a mesh
    assert lifecycle._as_before(request(mesh=False, network="10.43.0.0/16"), before).network == "10.43.0.0/16"
    nothing = request()
    assert lifecycle._as_before(nothing, dataclasses.replace(before, phase="stopping")) is nothing


def test_programs_that_are_gone_are_noticed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("kubernetes", "istio", "image_store"):
        (tmp_path / name).mkdir()
    with Progress(quiet=False) as progress:
        assert lifecycle._has_programs(saved_record(tmp_path), progress)
        (tmp_path / "istio").rmdir()
        assert not lifecycle._has_programs(saved_record(tmp_path), progress)
    assert "istio, which 'mine' was made from, is gone: it is created again" in capsys.readouterr().err
