# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot put together and saved, without a cluster."""

from __future__ import annotations

import copy
import json
import os
import typing as t
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_document import SnapshotDocument
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import relevant_fields
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem
from ansible_collections.meshops.locality.plugins.module_utils._module import topology_info
from ansible_collections.meshops.locality.plugins.module_utils._source import manifests
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import WantedControlPlane
from ansible_collections.meshops.locality.plugins.module_utils._source.live_objects import Live
from tests.unit.plugins.module_utils.samples import objects

Json = dict[str, t.Any]


def assembled(
    live: Live | None = None, definitions: t.Sequence[Json] = (), paths: t.Sequence[Path] = ()
) -> SnapshotDocument:
    given = manifests.read([str(path) for path in paths], definitions)
    return topology_info.assembled(live, given, WantedControlPlane(), "2026-01-01T00:00:00+00:00")


def live() -> Live:
    items = [relevant_fields(item) for item in objects()]
    return Live("https://x", items, problems=[Problem("nodes", "", "may not be read", "kind-forbidden")])


def saved(path: Path, snapshot: SnapshotDocument, check: bool = False) -> bool:
    return topology_info._save(path, snapshot_document.write(snapshot), check)


def test_manifests_replace_what_is_live_and_everything_else_stays() -> None:
    rule = copy.deepcopy(next(item for item in objects() if item["kind"] == "DestinationRule"))
    rule["spec"] = {"host": "other"}
    before, after = assembled(live()).snapshot, assembled(live(), [rule]).snapshot
    assert [destination.spec for destination in after.destination_rules] == [{"host": "other"}]
    assert (after.pods, after.services, after.nodes) == (before.pods, before.services, before.nodes)
    assert after.sources == ("the API server https://x", "1 definitions")
    assert after.problems[0].where == "nodes"


def test_the_summary() -> None:
    snapshot = assembled(live())
    summary = topology_info.summary(Planner(snapshot.snapshot))
    assert summary["localities"] == {
        "": {"nodes": 0, "pods": 0, "clients": 0, "endpoints": 1},
        "r1/z1": {"nodes": 1, "pods": 2, "clients": 2, "endpoints": 3},
        "r2/z9": {"nodes": 0, "pods": 0, "clients": 0, "endpoints": 2},
    }
    assert (summary["pods"], summary["services"], summary["endpoints"], summary["workloads"]) == (2, 3, 6, 3)


def test_a_file_is_written_once_and_only_for_a_change(tmp_path: Path) -> None:
    path = tmp_path / "mesh.json"
    snapshot = assembled(live())
    assert saved(path, snapshot, check=True)
    assert not path.exists()
    assert saved(path, snapshot)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text(encoding="utf-8")
    plain = json.loads(text)
    jsonschema.Draft202012Validator(snapshot_document.schema()).validate(plain)
    assert plain == snapshot_document.write(snapshot)
    path.chmod(0o644)
    later = topology_info.assembled(live(), manifests.read([]), WantedControlPlane(), "2026-02-02T00:00:00+00:00")
    assert later != snapshot
    assert not saved(path, later), "only the time is another one"
    assert path.read_text(encoding="utf-8") == text
    assert saved(path, assembled(live(), [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n2"}}]))
    assert path.stat().st_mode & 0o777 == 0o644
    changed = set(path.read_text(encoding="utf-8").splitlines()) ^ set(text.splitlines())
    assert len(changed) <= 6, "one object in each line"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real.json")
    assert saved(tmp_path / "link", assembled(live()))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real.json").is_file()


def test_a_snapshot_replaces_nothing_but_a_file(tmp_path: Path) -> None:
    """Not a device, which the whole machine needs, and a FIFO is not waited for."""
    (tmp_path / "device").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "fifo")
    for name, what in [("device", "a device"), ("fifo", "a FIFO")]:
        with pytest.raises(InvalidInput, match=f"is no file but {what}"):
            saved(tmp_path / name, assembled(live()))
    assert Path("/dev/null").is_char_device()


def test_places_where_nothing_can_be_saved(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path, expected in (
        (tmp_path, "is a folder"),
        (tmp_path / "no" / "mesh.json", "does not exist. Create it first"),
        (tmp_path / "binary", "is no text, so it is not overwritten"),
        (tmp_path / "binary" / "mesh.json", "cannot be saved|does not exist"),
        (Path("/proc/mesh.json"), "cannot be saved"),
    ):
        with pytest.raises(InvalidInput, match=expected):
            saved(path, assembled(live()))
    assert (tmp_path / "binary").read_bytes() == b"\xff\xfe\x00"


def test_what_was_saved_is_read_again_and_may_be_built_upon(tmp_path: Path) -> None:
    path = tmp_path / "mesh.json"
    snapshot = assembled(live())
    saved(path, snapshot)
    assert assembled(None, (), [path]).snapshot == snapshot.snapshot
    mesh = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "istio-system", "name": "istio"}}
    more = [{**mesh, "data": {"mesh": "localityLbSetting: {enabled: false}"}}]
    result = assembled(None, more, [path])
    assert result.control_plane.config["localityLbSetting"] == {"enabled": False}
    assert result.snapshot.services == snapshot.snapshot.services
    assert result.sources == (*snapshot.sources, f"file {path}", "1 definitions")
