# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and folders of manifests."""

from __future__ import annotations

import json
import typing as t
from pathlib import Path

import pytest
import yaml

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import build
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_document import SnapshotDocument
from ansible_collections.meshops.locality.plugins.module_utils._source import manifests
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import (
    WantedControlPlane,
    control_plane_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._source.manifests import read
from tests.unit.plugins.module_utils.samples import SECRET, objects

SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"


def keys(content: manifests.Manifests) -> list[str]:
    metadata = [(item["kind"], item["metadata"]) for item in content.objects]
    return [f"{kind} {fields.get('namespace', '')}/{fields['name']}" for kind, fields in metadata]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "b.yaml").write_text(f"{SERVICE}---\n{SERVICE.replace('web', 'two')}", encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects()[:3]}))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.yml").write_text(SERVICE.replace("{name: web}", "{name: web, namespace: own}"))
    (tmp_path / "values.yaml").write_text("replicas: 3\n")
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: chart\n")
    (tmp_path / "notes.txt").write_text("{{ nothing }}")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.yaml").write_text("a: b: c")
    (tmp_path / "secret.yaml").write_text("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: b}\n")
    return tmp_path


def test_a_folder_is_read_in_the_order_of_its_names(folder: Path) -> None:
    content = read([str(folder)], default_namespace="team")
    assert keys(content) == [
        *("Node /n1", "Namespace /shop", "Pod shop/web-1"),
        *("Service team/web", "Service team/two", "Service own/web"),
    ]
    assert content.skipped == 3
    assert (content.sources, content.problems, content.assumptions) == ([f"folder {folder}"], [], [])


def test_where_each_object_stands(folder: Path) -> None:
    content = read([str(folder)])
    assert content.files == {
        **dict.fromkeys(("Node n1", "Namespace shop", "Pod shop/web-1"), str(folder / "a.json")),
        "Service default/web": f"{folder / 'b.yaml'}:1",
        "Service default/two": f"{folder / 'b.yaml'}:5",
        "Service own/web": f"{folder / 'sub' / 'c.yml'}:1",
    }
    (definition,) = yaml.safe_load_all(SERVICE)
    assert "Service default/web" not in read([str(folder)], [definition]).files


def test_lists_say_of_what_they_are(tmp_path: Path) -> None:
    pods = [{key: value for key, value in objects()[2].items() if key not in ("apiVersion", "kind")}]
    (tmp_path / "pods.yaml").write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "PodList", "items": pods}))
    assert keys(read([str(tmp_path)])) == ["Pod shop/web-1"]
    assert keys(read([], [{"apiVersion": "v1", "kind": "List", "items": [objects()[2]]}])) == ["Pod shop/web-1"]


def test_definitions_come_last_and_win(folder: Path) -> None:
    rule = {**objects()[3], "metadata": {"name": "web", "namespace": "default"}}
    content = read([str(folder / "b.yaml")], [rule])
    assert keys(content) == ["Service default/web", "Service default/two", "Service default/web"]
    assert [str(problem) for problem in content.problems] == [
        f"Service default/web: stands in {folder}/b.yaml:1 and in definitions[0]; the later one applies"
    ]
    (web,) = [service for service in build(content.objects).services if service.source == "Service default/web"]
    assert web.selector == {"app": "web"}


def test_nothing_that_is_not_read_is_kept() -> None:
    content = read([], objects())
    assert len(content.objects) == len(objects())
    assert SECRET not in json.dumps(content.objects)


def test_a_kustomization_is_not_applied_and_that_is_said(folder: Path) -> None:
    (folder / "sub" / "kustomization.yaml").write_text("resources: [c.yml]\n")
    content = read([str(folder)])
    assert [
        text
        for text in map(str, (assumption.text for assumption in content.assumptions))
        if "kubectl kustomize" in text and str(folder / "sub") in text
    ]


@pytest.mark.parametrize(
    "given",
    [
        "patches: [{path: ../patch.yaml}, {patch: '- op: remove'}, 7]\n",
        "patchesStrategicMerge: [../patch.yaml, 'kind: Service', null]\n",
        "patchesJson6902: [{target: {kind: Service, name: two}, path: ../patch.yaml}]\n",
    ],
)
def test_the_patch_of_a_kustomization_is_no_object(tmp_path: Path, given: str) -> None:
    """It holds a part of one, and lacks what the whole has."""
    (tmp_path / "over").mkdir()
    (tmp_path / "service.yaml").write_text(SERVICE)
    (tmp_path / "patch.yaml").write_text(SERVICE.replace("name: ", "name: patched-"))
    assert len(read([str(tmp_path)]).objects) == 2
    (tmp_path / "over" / "Kustomization").write_text(given)
    content = read([str(tmp_path)])
    assert len(content.objects) == 1
    said = {entry.code: entry.what for entry in content.unread_input.not_judged([])}
    assert str(tmp_path / "over" / "..") not in said["patch-passed-over"]
    assert f"{tmp_path}/patch.yaml" in said["patch-passed-over"]
    assert len(read([str(tmp_path / "patch.yaml")]).objects) == 1, "whoever names it wants it read"


@pytest.mark.parametrize(
    "given", ["- a\n- b\n", "patches: {a: 1}\n", "patches: [{path: 'a\\0b'}]\n", ": : :\n", "\xff"]
)
def test_a_strange_kustomization_hides_nothing(tmp_path: Path, given: str) -> None:
    (tmp_path / "service.yaml").write_text(SERVICE)
    (tmp_path / "Kustomization").write_bytes(given.encode("latin-1"))
    assert len(read([str(tmp_path)]).objects) == 1


def test_keys_that_stand_twice_are_a_problem_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{SERVICE}spec:\n  type: ClusterIP\n  type: ExternalName\n")
    (problem,) = read([str(tmp_path)]).problems
    assert str(problem) == f"{tmp_path}/a.yaml:6: the key type stands twice in one object; the last one applies"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.yaml", "a: b: c", r"a\.yaml:1:5: not YAML"),
        ("a.yaml", f"{SERVICE}spec: {{{{ toYaml .Values.x }}}}\n", r"a\.yaml:4: this is a template.*helm template"),
        ("a.yaml", SERVICE.replace("web", '"{{ .Release.Name }}"'), r"metadata\.name of a Service is a template"),
        ("a.yaml", "kind: List\napiVersion: v1\nitems: x\n", "items of a List is not a list"),
        ("a.yaml", b"\xff\xfe", "is not UTF-8"),
        ("a.json", '{"schema": "meshops.locality/snapshot/v0"}', r"a\.json: Not a snapshot of this version"),
        (
            "a.json",
            '{"schema": "meshops.locality/snapshot/v1", "apiVersion": "v1", "kind": "List", "items": 3}',
            r"a\.json: snapshot.items: expected a list, got 3",
        ),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, name: str, text: str | bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InvalidInput, match=expected):
        read([str(tmp_path / name)])


def test_objects_that_are_nested_too_deep(tmp_path: Path) -> None:
    rule = {**objects()[9], "spec": json.loads('{"a":' * 400 + "1" + "}" * 400)}
    (tmp_path / "a.json").write_text(json.dumps(rule))
    with pytest.raises(InvalidInput, match="DestinationRule shop/web is nested too deep"):
        read([str(tmp_path)])


def test_paths_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="There is no file or folder"):
        read([str(tmp_path / "missing")])
    with pytest.raises(InvalidInput, match=r"has no file that ends with \.yaml"):
        read([str(tmp_path)])


def test_too_much(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "MAX_BYTES", 100)
    with pytest.raises(InvalidInput, match="has 0 MiB, and only 0 MiB more are read"):
        read([str(folder)])


def test_numbers_that_are_no_json() -> None:
    with pytest.raises(InvalidInput, match=r"definitions\[0\]"):
        read([], [{**objects()[9], "spec": {"host": float("nan")}}])


def test_a_saved_snapshot_stands_for_the_whole(tmp_path: Path) -> None:
    saved = SnapshotDocument(taken="2026-01-01", items=tuple(objects()))
    (tmp_path / "mesh.json").write_text(json.dumps(snapshot_document.write(saved)))
    document = read([str(tmp_path)]).snapshot
    assert document is not None
    assert document.snapshot == saved.snapshot
    (tmp_path / "other.json").write_text(json.dumps(snapshot_document.write(saved)))
    with pytest.raises(InvalidInput, match="is a second saved snapshot"):
        read([str(tmp_path)])


MESH = (
    "rootNamespace: root\nlocalityLbSetting: {enabled: false}\nextensionProviders: [{name: x, token: " + SECRET + "}]\n"
)


def istiod(name: str = "istiod", revision: str = "default", **variables: str) -> dict[str, t.Any]:
    labels = {"app": "istiod", "istio.io/rev": revision}
    env = [{"name": key, "value": value} for key, value in variables.items()]
    containers = [
        {"name": "discovery", "image": f"reg:5000/pilot:1.30.2-{name}", "args": ["--domain", "d"], "env": env}
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "istio-system", "labels": labels},
        "spec": {"template": {"spec": {"containers": containers}}},
    }


def config_map(name: str = "istio", mesh: str = MESH) -> dict[str, t.Any]:
    metadata = {"name": name, "namespace": "istio-system"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": mesh}}


def test_a_control_plane_among_the_manifests(tmp_path: Path) -> None:
    rendered = [istiod(PILOT_DRAINING_LABEL="drain", PASSWORD=SECRET, CLUSTER_ID="c1"), config_map()]
    (tmp_path / "istiod.yaml").write_text(yaml.safe_dump_all([*rendered, config_map("other", "")]))
    content = read([str(tmp_path)])
    plane = control_plane_of(WantedControlPlane(), content.istiods, content.config_maps)
    assert plane.mesh.version == "1.30.2-istiod"
    assert plane.mesh.features == {"PILOT_DRAINING_LABEL": "drain"}
    assert plane.mesh.config == {"rootNamespace": "root", "localityLbSetting": {"enabled": False}}
    assert (plane.cluster, plane.domain) == ("c1", "d")
    assert [assumption.code for assumption in plane.assumptions] == ["other-clusters-missing"]
    assert SECRET not in repr(plane)


def test_a_mesh_config_that_is_none() -> None:
    plane = control_plane_of(WantedControlPlane(), [istiod()], [config_map(mesh="a: b: c")])
    assert [(problem.where, problem.path) for problem in plane.problems] == [
        ("ConfigMap istio-system/istio", "data.mesh")
    ]
    assert plane.problems[0].message.startswith("data.mesh:1:5: not YAML: mapping values are not allowed")
    assert plane.problems[0].message.endswith("Defaults are assumed.")


def test_of_several_revisions_one_counts() -> None:
    two = [istiod("istiod"), istiod("istiod-new", "new")]
    plane = control_plane_of(WantedControlPlane(), two, [config_map(), config_map("istio-new", "rootNamespace: new")])
    assert plane.mesh.version == "1.30.2-istiod"
    assert "revisions default, new" in plane.assumptions[0].text
    plane = control_plane_of(
        WantedControlPlane(revision="new"), two, [config_map(), config_map("istio-new", "rootNamespace: new")]
    )
    assert (plane.mesh.version, plane.mesh.root_namespace) == ("1.30.2-istiod-new", "new")
    with pytest.raises(InvalidInput, match=r"no istiod of revision 'old'\. The revisions are default, new"):
        control_plane_of(WantedControlPlane(revision="old"), two, [])
    with pytest.raises(InvalidInput, match=r"revisions a, b, and none is called default\. Say whose"):
        control_plane_of(WantedControlPlane(), [istiod("x", "a"), istiod("y", "b")], [])
