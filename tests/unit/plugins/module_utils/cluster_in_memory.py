# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A few objects in memory, behind the methods of the client that the modules write with.

Who owns what is not computed: server-side apply is tried on the sandbox's API server. Here is what is asked, what is
guarded by what, and what becomes of an error at one of the requests.
"""

from __future__ import annotations

import copy
import types
import typing as t

from ansible_collections.meshops.locality.plugins.module_utils._errors import Conflict, Forbidden, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._kube.client import FIELD_MANAGER
from ansible_collections.meshops.locality.plugins.module_utils._kube.kinds import Kind
from ansible_collections.meshops.locality.plugins.module_utils._kube.secrets import masked

Json = dict[str, t.Any]


def owned(item: Json, manager: str = FIELD_MANAGER, *, spec: bool = True) -> Json:
    """Return an object whose labels, annotations and spec a field manager owns."""
    metadata = item["metadata"]
    fields: Json = {"f:metadata": {}}
    for part in ("labels", "annotations"):
        fields["f:metadata"][f"f:{part}"] = {f"f:{key}": {} for key in metadata.get(part) or {}}
    if spec:
        fields["f:spec"] = {}
    entry = {"manager": manager, "operation": "Apply", "fieldsV1": fields}
    return {**item, "metadata": {**metadata, "managedFields": [*(metadata.get("managedFields") or []), entry]}}


class ClusterInMemory:
    """Objects by kind, namespace and name; `fails` are errors that the next call of a method raises."""

    server = "https://memory.invalid"

    def __init__(self, *items: tuple[Kind, Json]) -> None:
        self.items: dict[tuple[str, str, str], Json] = {}
        self.writes: list[tuple[str, str, Json]] = []
        self.fails: dict[str, list[Exception]] = {}
        #: What happens before the next write: somebody else is faster.
        self.meanwhile: list[t.Callable[[], None]] = []
        self.forbidden: set[str] = set()
        self.secrets: frozenset[str] = frozenset()
        self.version = 100
        for kind, item in items:
            self.put(kind, item)

    def until(self, _deadline: float) -> ClusterInMemory:
        return self

    def put(self, kind: Kind, item: Json) -> Json:
        self.version += 1
        item = copy.deepcopy(item)
        item["metadata"] |= {"resourceVersion": str(self.version)}
        item["metadata"].setdefault("uid", f"uid-{self.version}")
        self.items[self._key(kind, item["metadata"])] = item
        return copy.deepcopy(item)

    def get(self, kind: Kind, name: str, namespace: str | None = None) -> Json | None:
        return copy.deepcopy(self.items.get((kind.plural, namespace or "", name)))

    def list(self, kind: Kind, namespace: str | None = None, **_selectors: str) -> t.Any:
        if kind.plural in self.forbidden:
            raise Forbidden(f"Not allowed to list {kind.plural} (403).", status=403)
        return [
            copy.deepcopy(item)
            for (plural, where, _name), item in self.items.items()
            if plural == kind.plural and namespace in (None, where)
        ]

    def create(self, kind: Kind, body: Json, *, manager: str = FIELD_MANAGER, dry_run: bool = False) -> Json:
        self._write("create", kind, body)
        if self._key(kind, body["metadata"]) in self.items:
            raise Conflict(f"{kind.kind} {body['metadata']['name']} exists (409).", status=409)
        return copy.deepcopy(body) if dry_run else self.put(kind, owned(body, manager))

    def apply(self, kind: Kind, body: Json, *, manager: str = FIELD_MANAGER, force: bool = False, **_: t.Any) -> Json:
        self._write("apply", kind, body)
        live = self._guarded(kind, body["metadata"])
        return self.put(kind, _merged(live, body))

    def merge_patch(self, kind: Kind, name: str, body: Json, namespace: str | None = None, **_: t.Any) -> Json:
        metadata = {**body.get("metadata", {}), "name": name, "namespace": namespace}
        self._write("merge_patch", kind, {**body, "metadata": metadata})
        live = self._guarded(kind, metadata)
        dry_run = bool(_.get("dry_run"))
        return _merged(live, body) if dry_run else self.put(kind, _merged(live, body))

    def delete(self, kind: Kind, name: str, namespace: str | None = None, **guard: t.Any) -> bool:
        asked = {"uid": guard.get("uid"), "resourceVersion": guard.get("resource_version")}
        metadata = {"name": name, "namespace": namespace, **{key: value for key, value in asked.items() if value}}
        self._write("delete", kind, {"metadata": metadata})
        if (kind.plural, namespace or "", name) not in self.items:
            return False
        self._guarded(kind, metadata)
        if not guard.get("dry_run"):
            del self.items[kind.plural, namespace or "", name]
        return True

    def request(self, _verb: str, method: str, path: str, **_: t.Any) -> Json:
        if path.endswith("selfsubjectrulesreviews"):
            return {"status": {"incomplete": True}}
        raise NotFound(f"{method} {path} (404)", status=404)

    def discovery(self, path: str) -> Json:
        if path == "/apis":
            groups = [["apps/v1"], ["networking.istio.io/v1", "networking.istio.io/v1alpha3"]]
            offered = [[{"groupVersion": version} for version in group] for group in groups]
            return {"groups": [{"preferredVersion": group[0], "versions": group} for group in offered]}
        names = {
            "/api/v1": "serviceaccounts=ServiceAccount configmaps=ConfigMap secrets=Secret pods=Pod "
            "resourcequotas=ResourceQuota",
            "/apis/apps/v1": "deployments=Deployment replicasets=ReplicaSet",
            "/apis/networking.istio.io/v1": "destinationrules=DestinationRule",
            "/apis/networking.istio.io/v1alpha3": "destinationrules=DestinationRule envoyfilters=EnvoyFilter",
        }[path]
        kinds = [each.partition("=") for each in names.split()]
        return {
            "resources": [
                {"name": name, "kind": kind, "namespaced": True, "verbs": ["list"]} for name, _, kind in kinds
            ]
        }

    def masked(self, value: t.Any) -> t.Any:
        return masked(value, self.secrets)

    def map(self, function: t.Callable[[t.Any], t.Any], items: t.Sequence[t.Any]) -> t.Any:
        return [function(item) for item in items]

    def _write(self, method: str, kind: Kind, body: Json) -> None:
        self.writes.append((method, kind.kind, copy.deepcopy(body)))
        if self.meanwhile:
            self.meanwhile.pop(0)()
        if self.fails.get(method):
            raise self.fails[method].pop(0)

    def _guarded(self, kind: Kind, metadata: Json) -> Json:
        live = self.items.get(self._key(kind, metadata))
        if live is None:
            raise NotFound(f"{kind.kind} {metadata['name']} does not exist (404).", status=404)
        for guard in ("uid", "resourceVersion"):
            if metadata.get(guard) not in (None, live["metadata"][guard]):
                raise Conflict(f"{kind.kind} {metadata['name']} has another {guard} (409).", status=409)
        return copy.deepcopy(live)

    @staticmethod
    def _key(kind: Kind, metadata: Json) -> tuple[str, str, str]:
        return (kind.plural, metadata.get("namespace") or "", metadata["name"])


def _merged(live: t.Any, patch: t.Any) -> t.Any:
    if not isinstance(patch, dict) or not isinstance(live, dict):
        return patch
    merged = {key: value for key, value in live.items() if key not in patch or patch[key] is not None}
    return merged | {key: _merged(live.get(key), value) for key, value in patch.items() if value is not None}


def module(*, check_mode: bool = False) -> t.Any:
    """Return what a body needs of an AnsibleModule; `warnings` has what it was told."""
    warnings: list[str] = []
    return types.SimpleNamespace(check_mode=check_mode, _diff=False, warn=warnings.append, warnings=warnings)
