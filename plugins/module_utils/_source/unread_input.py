# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in files and folders but is not read: other suffixes, misspelt objects, workloads of other kinds.

Needs no cluster. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import KINDS, VERSION
from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading
from ansible_collections.meshops.locality.plugins.module_utils._model.name_lists import first_names
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import NotJudged, unjudged
from ansible_collections.meshops.locality.plugins.module_utils._source.istio_ingresses import (
    GROUP,
    INGRESS,
    INGRESS_CLASS,
    Ingresses,
)
from ansible_collections.meshops.locality.plugins.module_utils._source.kinds_not_read import (
    NAMED,
    VOLUMES,
    KindNotRead,
    kind_not_read,
    not_judged,
)

#: Parts of file names (without dot, in small letters) that are manifests or become some.
_LOOK_LIKE = {"yaml", "yml", "json", "j2", "tpl", "tmpl", "gotmpl", "jsonnet", "cue", "tf", "bak", "disabled"}
_MANIFEST = {"yaml", "yml", "json", "jsonnet", "cue", "tpl", "gotmpl"}


@dataclass
class UnreadInput:
    """What was not read, as it was met."""

    files: list[str] = field(default_factory=list)
    special: list[str] = field(default_factory=list)
    kustomizations: list[str] = field(default_factory=list)
    #: Files with the patches of kustomizations: parts of objects.
    patches: list[str] = field(default_factory=list)
    misspelt: list[str] = field(default_factory=list)
    no_objects: list[str] = field(default_factory=list)
    hiding: dict[KindNotRead, list[str]] = field(default_factory=dict)
    #: Whether a StatefulSet claims volumes.
    claims: bool = False
    ingresses: Ingresses = field(default_factory=Ingresses)
    #: (name for people, namespace, labels of its pods, replicas)
    workloads: list[tuple[str, str, dict[str, str], int]] = field(default_factory=list)

    def of_folder(self, folder: Path, names: t.Sequence[str], suffixes: tuple[str, ...]) -> None:
        """Note files of a folder that look like manifests and have none of the suffixes."""
        for name in names:
            parts = name.lower().split(".")[1:]
            other = not name.startswith(".") and not name.lower().endswith(suffixes)
            if other and parts and parts[-1] in _LOOK_LIKE and _MANIFEST & set(parts):
                self.files.append(str(folder / name))

    def item(self, item: t.Any, source: str, default_namespace: str) -> None:
        """Note an object of a kind that is not read, or something that is no object."""
        if not isinstance(item, dict):
            if item not in (None, "", [], {}):
                self.no_objects.append(source)
            return
        version, kind = item.get("apiVersion"), item.get("kind")
        reading = Reading.silent()
        metadata = reading.mapping(item.get("metadata"), "")
        namespace = reading.text(metadata.get("namespace"), "") or default_namespace
        place = "" if kind in VOLUMES else f"{namespace}/"
        name = f"{kind or '(no kind)'} {place}{reading.text(metadata.get('name'), '') or '(no name)'}"
        group = version.rpartition("/")[0] if isinstance(version, str) else ""
        if group == GROUP and kind in (INGRESS, INGRESS_CLASS):
            self.ingresses.note(item, default_namespace)
            return
        if (hiding := kind_not_read(group, str(kind))) and hiding.concerns(item):
            self.hiding.setdefault(hiding, []).append(name)
            return
        if wrong := _misspelt(version, kind, bool(metadata or "spec" in item)):
            self.misspelt.append(f"{name} ({wrong})")
            return
        if not isinstance(version, str) or not isinstance(kind, str):
            self.no_objects.append(source)
            return
        spec = reading.mapping(item.get("spec"), "")
        job = reading.mapping(spec.get("jobTemplate"), "")  # of a CronJob
        template = reading.mapping((reading.mapping(job.get("spec"), "") or spec).get("template"), "")
        if reading.mapping(template.get("spec"), "").get("containers"):
            labels = reading.labels(reading.mapping(template.get("metadata"), "").get("labels"), "")
            replicas = spec.get("replicas", 1)
            self.workloads.append((name, namespace, labels, replicas if isinstance(replicas, int) else 1))

    def not_judged(self, services: t.Iterable[tuple[str, str, t.Mapping[str, str]]]) -> list[NotJudged]:
        """Return one entry for each kind of thing. `services`: (name, namespace, selector) of each Service."""
        entries = []
        if self.workloads:
            known = list(services)
            behind = [
                f"{space}/{name}"
                for name, space, selector in known
                if selector
                and any(
                    space == namespace and all(labels.get(key) == value for key, value in selector.items())
                    for _name, namespace, labels, _replicas in self.workloads
                )
            ]
            pods = sum(replicas for _name, _namespace, _labels, replicas in self.workloads)
            workloads = _names(workload[0] for workload in self.workloads)
            entries.append(
                unjudged(
                    "workload-not-read",
                    len(self.workloads),
                    workloads=workloads,
                    pods=pods,
                    services=_names(behind) or "none here",
                )
            )
        if self.misspelt:
            entries.append(unjudged("object-misspelt", len(self.misspelt), objects=_names(self.misspelt)))
        hiding = self.hiding.items()
        entries += not_judged({kind: names for kind, names in hiding if self.claims or kind.kind not in VOLUMES})
        if self.no_objects:
            entries.append(unjudged("no-object", len(set(self.no_objects)), files=_names(self.no_objects)))
        if self.files:
            entries.append(unjudged("file-passed-over", len(set(self.files)), files=_names(self.files)))
        if self.special:
            entries.append(unjudged("no-file", len(set(self.special)), files=_names(self.special)))
        if folders := self.kustomizations:
            entries.append(unjudged("kustomization", len(set(folders)), folders=_names(folders)))
        if patches := self.patches:
            entries.append(unjudged("patch-passed-over", len(set(patches)), files=_names(patches)))
        return entries


def _names(listed: t.Iterable[str]) -> str:
    return first_names(dict.fromkeys(listed), NAMED)


def _misspelt(version: t.Any, kind: t.Any, object_like: bool) -> str:
    """Return what is wrong with the apiVersion or kind of an object that is meant to be read; '' for nothing."""
    kinds = {known for _group, known in KINDS}
    if not isinstance(kind, str) or not kind:
        return "no kind" if isinstance(version, str) and version and object_like else ""
    if kind in kinds:
        groups = sorted(group for group, known in KINDS if known == kind)
        if not isinstance(version, str) or not version:
            return "no apiVersion" if object_like else ""
        group, _slash, number = version.rpartition("/")
        near = [group] if group in groups else difflib.get_close_matches(group, groups, n=1, cutoff=0.7)
        return f"apiVersion {version}" if near and not (group in groups and VERSION.fullmatch(number)) else ""
    near = difflib.get_close_matches(kind.lower(), [known.lower() for known in kinds], n=1, cutoff=0.85)
    if not near or not object_like:
        return ""
    meant = next(known for known in kinds if known.lower() == near[0])
    own = {group for group, known in KINDS if known == meant}
    group = version.rpartition("/")[0] if isinstance(version, str) else ""
    return f"kind {kind}, {meant} is meant" if group in own or not isinstance(version, str) else ""
