# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One snapshot of a live mesh, of manifests, or of both; saved when asked for.

Private to this collection: it may change at any time.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import json
import traceback
import typing as t

from ansible.module_utils.basic import missing_required_lib

from ansible_collections.meshops.locality.plugins.module_utils import _garbage_collection
from ansible_collections.meshops.locality.plugins.module_utils._errors import InvalidInput, NotFound
from ansible_collections.meshops.locality.plugins.module_utils._forecast.not_judged import as_json, judged, not_judged
from ansible_collections.meshops.locality.plugins.module_utils._istio import (
    control_plane,
    gateway_deployments,
    snapshot_document,
)
from ansible_collections.meshops.locality.plugins.module_utils._istio.plan import Planner
from ansible_collections.meshops.locality.plugins.module_utils._istio.proxy_locality import Client
from ansible_collections.meshops.locality.plugins.module_utils._istio.snapshot_document import SnapshotDocument
from ansible_collections.meshops.locality.plugins.module_utils._istio.versions import DEFAULT
from ansible_collections.meshops.locality.plugins.module_utils._model import kubernetes_objects
from ansible_collections.meshops.locality.plugins.module_utils._model.field_filter import relevant_fields
from ansible_collections.meshops.locality.plugins.module_utils._model.kubernetes_names import chosen_namespaces
from ansible_collections.meshops.locality.plugins.module_utils._model.locality import Locality
from ansible_collections.meshops.locality.plugins.module_utils._model.not_judged import NotJudged
from ansible_collections.meshops.locality.plugins.module_utils._model.problems import problem
from ansible_collections.meshops.locality.plugins.module_utils._model.snapshot import Snapshot
from ansible_collections.meshops.locality.plugins.module_utils._module.saved_file import replaced, target_of
from ansible_collections.meshops.locality.plugins.module_utils._simulation import replica_placement
from ansible_collections.meshops.locality.plugins.module_utils._source import live_objects, manifests
from ansible_collections.meshops.locality.plugins.module_utils._source.control_plane import (
    WantedControlPlane,
    control_plane_of,
)
from ansible_collections.meshops.locality.plugins.module_utils._source.files import read_bytes
from ansible_collections.meshops.locality.plugins.module_utils._source.istio_ingresses import Ingresses
from ansible_collections.meshops.locality.plugins.module_utils._source.live_objects import Live
from ansible_collections.meshops.locality.plugins.module_utils._source.manifests import MAX_BYTES, Manifests

if t.TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule

    from ansible_collections.meshops.locality.plugins.module_utils._kube.client import Cluster

Json = dict[str, t.Any]
Connect = t.Callable[[], "Cluster"]

_SHOWN_PROBLEMS = 200


def topology_info(module: AnsibleModule, connect: Connect) -> Json:
    """Body of the module topology_info; see its documentation for the options and the result."""
    try:
        import yaml  # noqa: F401
    except ImportError:
        module.fail_json(msg=missing_required_lib("PyYAML"), exception=traceback.format_exc())
    with _garbage_collection.paused():
        return _info(module, connect)


def without_cluster(params: t.Mapping[str, t.Any]) -> tuple[Snapshot, Json]:
    """Return (snapshot, result) of files and definitions alone, for a caller that needs no process of its own.

    `params` are the module's options, all of them; `live`, `path` and `return_snapshot` have no effect. Raises what the
    module fails with.
    """
    with _garbage_collection.paused():
        planner, _document, result = _answer(params, _read_manifests(params), None)
    return planner.snapshot, result


def _info(module: AnsibleModule, connect: Connect) -> Json:
    params = module.params
    given = _read_manifests(params)
    live = None
    if params["live"]:
        if given.snapshot is not None:
            raise InvalidInput(
                "A saved snapshot stands for the whole mesh, so there is nothing to read from a cluster.",
                do="Set live to false, or leave the snapshot out.",
            )
        namespaces = chosen_namespaces(params)
        wanted = _wanted_control_plane(params)
        live = live_objects.read(connect(), wanted, namespaces)
        if not live.istio and not given.objects:
            raise NotFound(
                f"Istio is not installed in the cluster {live.server}: there is no istiod in {wanted.namespace}, no "
                "kind of networking.istio.io and no proxy.",
                do="Check the kubeconfig and control_plane_namespace, or give manifests.",
            )
    planner, document, result = _answer(params, given, live)
    if not (params["return_snapshot"] or params["path"]):
        return result
    plain = snapshot_document.write(document)
    if params["return_snapshot"]:
        result["snapshot"] = plain
        result["clients"] = [_client(client, planner.relevant_labels) for client in planner.clients]
    if params["path"]:
        result["changed"] = _save(params["path"], plain, module.check_mode)
        result["path"] = params["path"]
    return result


def _wanted_control_plane(params: t.Mapping[str, t.Any]) -> WantedControlPlane:
    return WantedControlPlane(params["control_plane_namespace"], params["revision"], params["istio_version"])


def _read_manifests(params: t.Mapping[str, t.Any]) -> Manifests:
    return manifests.read(
        params["manifests"] or (),
        params["definitions"] or (),
        default_namespace=params["default_namespace"],
        control_plane_namespace=params["control_plane_namespace"],
    )


def _answer(
    params: t.Mapping[str, t.Any], given: Manifests, live: Live | None
) -> tuple[Planner, SnapshotDocument, Json]:
    """Return what decides as istiod would, the snapshot as it is saved, and the result without it."""
    if live is None and not (given.objects or given.snapshot or given.istiods or given.config_maps):
        raise InvalidInput(
            "There is nothing to make a snapshot of: live is false, and manifests and definitions have no object that "
            "is read.",
            do="Give files, folders or definitions with Kubernetes objects.",
        )
    taken = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    planner, document = _planner(assembled(live, given, _wanted_control_plane(params), taken), params["istio_version"])
    result: Json = {
        "changed": False,
        "summary": summary(planner),
        "problems": [misread.as_json() for misread in planner.snapshot.problems[:_SHOWN_PROBLEMS]],
        "assumptions": [assumption.as_json() for assumption in document.assumptions],
        "judged": judged(planner),
        "not_judged": as_json(not_judged(planner)),
    }
    if given.files:
        result["files"] = given.files
    return planner, document, result


def assembled(live: Live | None, given: Manifests, wanted: WantedControlPlane, taken: str) -> SnapshotDocument:
    """Return the snapshot of a cluster, or of a saved snapshot, and of files; objects of files replace the others."""
    if given.snapshot is not None:
        base = _with_control_plane(given.snapshot, given, wanted)
        files = given.objects or given.istiods or given.config_maps
        sources = dict.fromkeys((*base.sources, *given.sources)) if files else base.sources
    else:
        plane = control_plane_of(
            wanted,
            [*(live.istiods if live else ()), *given.istiods],
            [*(live.config_maps if live else ()), *given.config_maps],
            live.unread if live else (),
            given.installs,
        )
        base = SnapshotDocument(
            plane.cluster,
            plane.domain,
            taken,
            problems=(*(live.problems if live else ()), *plane.problems),
            control_plane=plane.mesh,
            assumptions=(*(live.assumptions if live else ()), *plane.assumptions),
            not_judged=tuple(live.not_judged if live else ()),
            items=tuple(live.objects if live else ()),
        )
        sources = dict.fromkeys((*([f"the API server {live.server}"] if live else ()), *given.sources))
    problems = [*base.problems, *given.problems]
    objects = [*without_stale_slices(base.items, given.objects), *given.objects]
    deployed, assumed = gateway_deployments.deployed(given.objects, objects, base.control_plane)
    objects += map(relevant_fields, deployed)
    placed = replica_placement.place([*given.objects, *deployed], objects)
    objects += map(relevant_fields, placed.objects)
    items, outside = control_plane.discovered(objects, base.control_plane, problems)
    assumptions = (*base.assumptions, *given.assumptions, *assumed, *placed.assumptions, *outside)
    document = dataclasses.replace(
        base,
        sources=tuple(sources),
        problems=(*problems, *placed.problems),
        assumptions=tuple(dict.fromkeys(assumptions)),
        items=tuple(items),
    )
    passed_over = _passed_over(given, document.snapshot)
    ingresses = (live.ingresses if live else Ingresses()).and_of(given.unread_input.ingresses)
    passed_over += tuple(ingresses.not_judged(document.snapshot.mesh.config))
    return dataclasses.replace(document, not_judged=(*base.not_judged, *passed_over))


def _passed_over(given: Manifests, snapshot: Snapshot) -> tuple[NotJudged, ...]:
    """Return what was not read of files; workloads whose pods a live cluster shows are not among it."""
    pods = [pod for pod in snapshot.pods if not pod.assumed]
    over = given.unread_input
    over.workloads = [
        workload
        for workload in over.workloads
        if not any(pod.namespace == workload[1] and workload[2].items() <= dict(pod.labels).items() for pod in pods)
    ]
    services = [
        (service.source.rpartition("/")[2], service.namespace, service.selector)
        for service in snapshot.services
        if service.registry == "Kubernetes"
    ]
    return tuple(over.not_judged(services))


def _with_control_plane(base: SnapshotDocument, given: Manifests, wanted: WantedControlPlane) -> SnapshotDocument:
    """Return a saved snapshot with the control plane of manifests, or with another version; else its own stays."""
    if given.istiods or given.config_maps or given.installs:
        plane = control_plane_of(wanted, given.istiods, given.config_maps, (), given.installs)
        return dataclasses.replace(
            base,
            cluster=plane.cluster,
            domain=plane.domain,
            control_plane=plane.mesh,
            problems=(*base.problems, *plane.problems),
            assumptions=(*base.assumptions, *plane.assumptions),
        )
    if wanted.version:
        return dataclasses.replace(base, control_plane=dataclasses.replace(base.control_plane, version=wanted.version))
    return base


def without_stale_slices(objects: t.Sequence[Json], given: t.Sequence[Json]) -> list[Json]:
    """Leave out EndpointSlices of Services whose selector the manifests change: other pods are behind these."""
    selectors = {_name_of(item): _selector(item) for item in given if item.get("kind") == "Service"}
    stale = {
        _name_of(item)
        for item in objects
        if item.get("kind") == "Service"
        and _name_of(item) in selectors
        and _selector(item) != selectors[_name_of(item)]
    }
    return [
        item
        for item in objects
        if item.get("kind") != "EndpointSlice" or kubernetes_objects.slice_service(item) not in stale
    ]


def _name_of(item: Json) -> tuple[str, str]:
    metadata = item.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    return str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def _selector(item: Json) -> t.Any:
    spec = item.get("spec")
    return (spec.get("selector") if isinstance(spec, dict) else None) or {}


def _planner(document: SnapshotDocument, version: str | None) -> tuple[Planner, SnapshotDocument]:
    """Return what decides as istiod would; a version that is not known is a problem of the snapshot, no failure."""
    try:
        return Planner(document.snapshot), document
    except InvalidInput as error:
        if version is not None:
            raise
        unknown = problem("istio-version-unknown", "istiod", "version", error=error, version=DEFAULT)
        document = dataclasses.replace(document, problems=(unknown, *document.problems))
        return Planner(document.snapshot, DEFAULT), document


def _client(client: Client, relevant: t.Collection[str]) -> Json:
    return {
        "pod": client.name,
        "namespace": client.namespace,
        "type": client.type,
        "locality": str(client.locality),
        "labels": {name: value for name, value in sorted(client.labels.items()) if name in relevant},
        "node": client.node,
        "revision": client.revision,
    }


def summary(planner: Planner) -> Json:
    """Return how many there are of what, and for each locality its nodes, pods, clients and endpoints."""
    snapshot, places, clients = planner.snapshot, planner.places, planner.clients
    counted: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for node in snapshot.nodes:
        counted[str(node.locality)]["nodes"] += 1
    for pod in snapshot.pods:
        counted[str(Locality.parse(places.locality(pod)))]["pods"] += 1
    for client in clients:
        counted[str(client.locality)]["clients"] += 1
    for service in snapshot.services:
        for endpoint in service.endpoints:
            behind = snapshot.pod_by_key.get(endpoint.pod)
            where = places.locality(behind) if behind else places.of_entry(endpoint)
            counted[str(Locality.parse(where))]["endpoints"] += 1
    return {
        "istio_version": snapshot.mesh.version,
        "revision": snapshot.mesh.revision,
        "cluster": snapshot.cluster,
        "nodes": len(snapshot.nodes),
        "namespaces": len(snapshot.namespaces),
        "pods": len(snapshot.pods),
        "assumed_pods": sum(pod.assumed for pod in snapshot.pods),
        "workloads": len(snapshot.workloads),
        "services": len(snapshot.services),
        "endpoints": sum(len(service.endpoints) for service in snapshot.services),
        "destination_rules": len(snapshot.destination_rules),
        "virtual_services": len(snapshot.virtual_services),
        "sidecars": len(snapshot.sidecars),
        "clients": len(clients),
        "problems": len(snapshot.problems),
        "localities": {
            place: {what: counted[place][what] for what in ("nodes", "pods", "clients", "endpoints")}
            for place in sorted(counted)
        },
    }


def _text(plain: Json) -> str:
    """Return the JSON with one object to a line, so that two snapshots can be compared line by line."""
    lines = []
    for name, value in plain.items():
        key = json.dumps(name)
        if isinstance(value, list) and value:
            items = ",\n".join(json.dumps(item, sort_keys=True) for item in value)
            lines.append(f"{key}: [\n{items}\n]")
        else:
            lines.append(f"{key}: {json.dumps(value, sort_keys=True)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _save(path: str, plain: Json, check: bool) -> bool:
    """Write the snapshot unless the file has the same one from another time; return whether it was another one."""
    text = _text(plain)
    target = target_of(path)
    try:
        old = read_bytes(target, MAX_BYTES, do="Give another path.").decode() if target.exists() else ""
        if _timeless(old) == _timeless(text):
            return False
        if not check:
            with replaced(target) as file:
                file.write(text)
    except UnicodeDecodeError:
        raise InvalidInput(
            f"{path} exists and is no text, so it is not overwritten.", do="Give another path, or delete the file."
        ) from None
    except OSError as error:
        raise InvalidInput(f"The snapshot cannot be saved in {path}: {error.strerror or error}.") from error
    return True


def _timeless(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith('"taken": ')]
