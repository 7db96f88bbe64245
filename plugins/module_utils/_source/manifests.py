# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manifests on disk: files and folders of YAML and JSON, and snapshots that were saved, made into objects.

Needs no cluster and no `kubernetes` library. Private to this collection: it may change at any time.
"""

from __future__ import annotations

import json
import os
import re
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput
from ansible_collections.meshops.locality.plugins.module_utils._istio import snapshot_document
from ansible_collections.meshops.locality.plugins.module_utils._istio.control_plane import is_istiod
from ansible_collections.meshops.locality.plugins.module_utils._istio.install_values import (
    InstallValues,
    install_values,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_builder import kind_of
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_document import SnapshotDocument
from ansible_collections.meshops.locality.plugins.module_utils._model.assumptions import Assumption, assumption
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import relevant_fields
from ansible_collections.meshops.locality.plugins.module_utils._model.field_reader import Reading, name_of
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import Problem, problem
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import MESH
from ansible_collections.meshops.locality.plugins.module_utils._source.files import SUFFIXES, find, read_bytes
from ansible_collections.meshops.locality.plugins.module_utils._source.unread_input import UnreadInput
from ansible_collections.meshops.locality.plugins.module_utils._source.yaml_documents import (
    Duplicate,
    documents,
    too_deep,
)

Json = dict[str, t.Any]

#: All files together; a JSON export of 5,000 injected pods has about 80 MB.
MAX_BYTES = 256 * 1024 * 1024
#: What an object may be called. Source: Kubernetes, apimachinery pkg/util/validation, IsDNS1123Subdomain.
_NAME, _LONGEST_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?"), 253
#: How many keys that stand twice are named one by one.
MAX_DUPLICATES = 50
_KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
_CLUSTER_SCOPED = ("Node", "Namespace", "GatewayClass")


@dataclass
class Manifests:
    """What files and definitions hold.

    `objects` are of the kinds that are read, cut down to the fields (_model/field_filter.py), in order; `istiods` are
    the Deployments of istiod and `config_maps` those with a mesh config, whole. `skipped`: how many others.
    `files`: where each object stands, `path:line`, by `Kind namespace/name`.
    """

    objects: list[Json] = field(default_factory=list)
    istiods: list[Json] = field(default_factory=list)
    config_maps: list[Json] = field(default_factory=list)
    snapshot: SnapshotDocument | None = None
    sources: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    assumptions: list[Assumption] = field(default_factory=list)
    skipped: int = 0
    installs: list[InstallValues] = field(default_factory=list)
    unread_input: UnreadInput = field(default_factory=UnreadInput)


def read(
    paths: t.Sequence[str],
    definitions: t.Sequence[t.Any] = (),
    *,
    default_namespace: str = "default",
    control_plane_namespace: str = "istio-system",
) -> Manifests:
    """Read files and folders (in order, files of a folder sorted), then `definitions`.

    Objects of kinds with a namespace that name none get `default_namespace`. Of two objects with the same kind,
    namespace and name the later is taken, and a problem says so. Raises InvalidInput for what cannot be read.
    """
    reader = _Reader(default_namespace, control_plane_namespace)
    size = 0
    for index, path in enumerate(paths):
        if not path.strip():  # it would be the folder that one happens to be in
            raise InvalidInput(f"manifests[{index}] is blank.", do="Take it out, or write what is meant.")
        for file in _files(path, reader.result):
            data = read_bytes(file, MAX_BYTES - size)
            size += len(data)
            reader.file(file, data)
    for position, definition in enumerate(definitions):
        if not isinstance(definition, dict):
            raise InvalidInput(f"definitions[{position}] is not an object but {type(definition).__name__}.")
        try:
            json.dumps(definition, allow_nan=False)
        except (ValueError, TypeError, RecursionError) as error:
            raise InvalidInput(f"definitions[{position}] cannot be written as JSON: {error}.") from error
        reader.document(definition, f"definitions[{position}]")
    if definitions:
        reader.result.sources.append(f"{len(definitions)} definitions")
    return reader.result


def _files(path: str, result: Manifests) -> t.Iterator[Path]:
    root = Path(path).expanduser()
    try:
        is_folder, exists = root.is_dir(), root.exists()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"manifests: {path!r} cannot be looked at: {error}.") from error
    if not exists:
        raise InvalidInput(f"There is no file or folder {path}.", do="Correct manifests.")
    if not is_folder:
        result.sources.append(f"file {path}")
        yield root
        return
    content = find(root)
    parts: set[str] = set()
    whole: set[str] = set()
    for folder, names in content.folders.items():
        files = [folder / name for name in names if name in _KUSTOMIZATIONS]
        if known := next(filter(os.path.isfile, files), None):
            patches, resources = _named_by(known)
            parts, whole = parts | patches, whole | resources
            result.assumptions.append(assumption("kustomization-not-applied", folder=folder))
            result.unread_input.kustomizations.append(str(folder))
    if not content.files:
        raise InvalidInput(f"The folder {path} has no file that ends with {', '.join(SUFFIXES)}.")
    for file in content.others:
        result.unread_input.of_folder(file.parent, [file.name], SUFFIXES)
    result.unread_input.special += content.special
    result.sources.append(f"folder {path}")
    parts -= whole
    for file in content.files:
        if parts and os.path.realpath(file) in parts:
            result.unread_input.patches.append(str(file))
        else:
            yield file


def _named_by(kustomization: Path) -> tuple[set[str], set[str]]:
    """Return the files that a kustomization names as patches, which hold parts of objects, and as whole objects."""
    try:
        text = read_bytes(kustomization, MAX_BYTES).decode("utf-8-sig")
        parsed = next(documents(text, str(kustomization)), None)
    except (InvalidInput, UnicodeDecodeError):
        return set(), set()  # As a file it has its error, where it is one that is read.

    def files(names: t.Iterable[t.Any]) -> set[str]:
        paths = (kustomization.parent / name for name in names if isinstance(name, str) and name.isprintable())
        return set(map(os.path.realpath, paths))

    silent = Reading.silent()
    given = silent.mapping(parsed, "")
    patches = [*silent.items(given.get("patchesStrategicMerge"), "")]
    for name in ("patches", "patchesJson6902"):
        patches += [silent.mapping(entry, "").get("path") for entry in silent.items(given.get(name), "")]
    resources = [entry for name in ("resources", "bases", "crds") for entry in silent.items(given.get(name), "")]
    return files(patches), files(resources)


class _Reader:
    def __init__(self, default_namespace: str, control_plane_namespace: str) -> None:
        self.result = Manifests()
        self._default = default_namespace
        self._control_plane = control_plane_namespace
        self._seen: dict[tuple[str, str, str], str] = {}

    def file(self, file: Path, data: bytes) -> None:
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{file} is not UTF-8 text (byte {error.start}).") from error
        duplicates: list[Duplicate] = []
        lines: list[int] = []
        for document in documents(text, str(file), duplicates, lines):
            self.document(document, str(file), f"{file}:{lines[-1]}" if lines else str(file))
        for key, line in duplicates[:MAX_DUPLICATES]:
            where = f"{file}:{line}" if line else str(file)
            self.result.problems.append(problem("key-twice", where, key=key))
        if len(duplicates) > MAX_DUPLICATES:
            more = len(duplicates) - MAX_DUPLICATES
            self.result.problems.append(problem("more-keys-twice", str(file), count=more))

    def document(self, document: t.Any, source: str, begins: str = "") -> None:
        """Take one document: an object, a list of objects, a saved snapshot, or something else.

        `begins`: where it stands, as `path:line`; empty for what is in no file.
        """
        pending: list[t.Any] = [document]
        while pending:
            item = pending.pop()
            if isinstance(item, dict) and isinstance(item.get("schema"), str):
                self._snapshot(item, source)
            elif isinstance(item, dict) and str(item.get("kind") or "").endswith("List") and "items" in item:
                pending += reversed(self._items(item, source))
            elif isinstance(item, list) and item is document:
                pending += reversed(item)
            else:
                self._object(item, source, begins)

    def _items(self, item: Json, source: str) -> list[t.Any]:
        """Return the items of a list; those of `PodList` and the like do not say what they are."""
        items = item["items"]
        if items is None:
            return []
        if not isinstance(items, list):
            raise InvalidInput(f"{source}: items of a {item['kind']} is not a list.")
        kind = item["kind"].removesuffix("List")
        if not kind:
            return items
        type_meta = {"apiVersion": item.get("apiVersion"), "kind": kind}
        return [{**type_meta, **item} if isinstance(item, dict) else item for item in items]

    def _snapshot(self, item: Json, source: str) -> None:
        if self.result.snapshot is not None:
            raise InvalidInput(f"{source} is a second saved snapshot.", do="Give one.")
        if too_deep(item):
            raise InvalidInput(f"{source}: the snapshot is nested too deep.")
        try:
            self.result.snapshot = snapshot_document.read(item)
        except InvalidInput as error:
            raise InvalidInput(f"{source}: {error.what}", do=error.do) from error

    def _object(self, item: t.Any, source: str, begins: str) -> None:
        kind = kind_of(item)
        is_mesh = isinstance(item, dict) and item.get("kind") == "ConfigMap" and item.get("apiVersion") == "v1"
        if not kind and not is_mesh:
            if install := install_values(item, source):
                self.result.installs.append(install)
                return
            self.result.skipped += 1
            self.result.unread_input.item(item, source, self._default)
            return
        item = self._placed(item, kind, source)
        if not self._well_named(item, begins or source):
            return
        if is_mesh:
            if isinstance(item.get("data"), dict) and MESH in item["data"]:
                self.result.config_maps.append(item)
            else:
                self.result.skipped += 1
            return
        if is_istiod(item, self._control_plane):
            self.result.istiods.append(item)
        self._once(item, kind, begins or source)
        if begins:
            self.result.files[name_of(item, 0)] = begins
        else:
            self.result.files.pop(name_of(item, 0), None)
        spec = item.get("spec")
        self.result.unread_input.claims |= isinstance(spec, dict) and bool(spec.get("volumeClaimTemplates"))
        item = relevant_fields(item)
        if too_deep(item):
            raise InvalidInput(f"{source}: {name_of(item, 0)} is nested too deep.")
        self.result.objects.append(item)

    def _placed(self, item: Json, kind: str, source: str) -> Json:
        metadata = item.get("metadata")
        if not isinstance(metadata, dict):
            return item
        for name in ("name", "namespace"):
            value = metadata.get(name)
            if isinstance(value, str) and "{{" in value:
                raise InvalidInput(
                    f"{source}: metadata.{name} of a {item['kind']} is a template that is not rendered: {value[:60]}",
                    do="Render it first (helm template, or Ansible's template) and give what comes out.",
                )
        if kind not in _CLUSTER_SCOPED and metadata.get("namespace") in (None, ""):
            return {**item, "metadata": {**metadata, "namespace": self._default}}
        return item

    def _well_named(self, item: Json, place: str) -> bool:
        """Say what is wrong with an object's name, and where it stands; return whether the object can be told by it."""
        metadata = item.get("metadata")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        where = f"{item['kind']} in {place}"
        if name is None or name == "":
            self.result.problems.append(problem("missing-name", where, "metadata.name"))
            return False
        if not isinstance(name, str):
            return True  # said where it is read
        if any(not sign.isprintable() for sign in name):
            self.result.problems.append(problem("unprintable-name", where, "metadata.name", name=repr(name)))
            return False
        if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            self.result.problems.append(problem("invalid-name", where, "metadata.name", name=repr(name)))
        return True

    def _once(self, item: Json, kind: str, source: str) -> None:
        metadata = item.get("metadata")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            return
        namespace = metadata.get("namespace")
        key = (kind, namespace if isinstance(namespace, str) else "", metadata["name"])
        if key in self._seen:
            self.result.problems.append(problem("object-twice", name_of(item, 0), first=self._seen[key], second=source))
        self._seen[key] = source
