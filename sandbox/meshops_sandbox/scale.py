# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a running sandbox hold exactly the fake objects that are asked for, and waits until they are ready.

Objects are written by the API, with their node given: through Deployments and the scheduler it would take many times
as long. KWOK gives the pods their addresses and lets them be Ready; EndpointSlices come from the real controller.
"""

from __future__ import annotations

import concurrent.futures
import time
import typing as t

import requests

from meshops_sandbox import fake_objects
from meshops_sandbox.api_server import ApiServer
from meshops_sandbox.errors import BootError, SandboxError
from meshops_sandbox.layout import Layout
from meshops_sandbox.processes import tail
from meshops_sandbox.progress import Progress
from meshops_sandbox.time_limits import stretched

_THREADS = 8
# Nothing further became ready, or went, for so many seconds: it never will.
_LIMIT = 120.0

_NAMESPACES = "/api/v1/namespaces"
_ACCOUNT = "/serviceaccounts/default"
_NODES = "/api/v1/nodes"
_PODS = "/api/v1/pods"
_SERVICES = "/api/v1/services"
_SLICES = "/apis/discovery.k8s.io/v1/endpointslices"


def make(layout: Layout, scale: fake_objects.Scale, progress: Progress) -> None:
    """Create what is missing of `scale`, delete what is too much, wait for ready endpoints. KWOK runs already.

    Raises BootError when the endpoints do not become ready, SandboxError when the API server refuses an object."""
    api = ApiServer(layout, timeout=60.0)
    with concurrent.futures.ThreadPoolExecutor(max_workers=_THREADS) as pool:
        try:
            _Work(api, pool, progress).run(scale)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if scale.pods:
        _wait_for_endpoints(api, layout, scale, progress)


class _Work:
    def __init__(self, api: ApiServer, pool: concurrent.futures.Executor, progress: Progress) -> None:
        self._api = api
        self._pool = pool
        self._progress = progress

    def run(self, scale: fake_objects.Scale) -> None:
        self._delete_surplus("fake services", _SERVICES, fake_objects.services(scale))
        self._delete_surplus("fake pods", _PODS, fake_objects.pods(scale))
        self._delete_surplus("fake namespaces", _NAMESPACES, fake_objects.namespaces(scale))
        self._delete_surplus("fake nodes", _NODES, fake_objects.nodes(scale))
        self._nodes(fake_objects.nodes(scale))
        for title, path, wanted in (
            ("fake namespaces", _NAMESPACES, fake_objects.namespaces(scale)),
            ("fake services", _SERVICES, fake_objects.services(scale)),
            ("fake pods", _PODS, fake_objects.pods(scale)),
        ):
            present = self._present(path)
            self._create(title, path, [item for name, item in wanted.items() if name not in present])
            if path == _NAMESPACES:
                self._wait_for_accounts(wanted)

    def _wait_for_accounts(self, namespaces: t.Iterable[str]) -> None:
        """Pods are refused until the controller manager, which may have been started a second ago, has made the
        account they run as."""
        title = "service accounts"
        missing, deadline = list(namespaces), time.monotonic() + stretched(_LIMIT)
        with self._progress.step(title):
            while missing := [each for each in missing if not self._api.get(f"{_NAMESPACES}/{each}{_ACCOUNT}")]:
                if time.monotonic() > deadline:
                    raise BootError(
                        f"The namespace {missing[0]} did not get its service account within {stretched(_LIMIT):.0f} s.",
                        "See `meshops-sandbox logs kube-controller-manager`; run the same command again.",
                    )
                self._progress.detail(title, f"{len(missing)} missing")
                time.sleep(0.2)

    def _present(self, path: str) -> dict[str, t.Any]:
        """{namespace/name or name: metadata} of all fake objects of one kind."""
        return {_name(each["metadata"]): each["metadata"] for each in self._api.metadata(path, fake_objects.SELECTOR)}

    def _nodes(self, wanted: t.Mapping[str, fake_objects.Object]) -> None:
        present = self._present(_NODES)
        self._create("fake nodes", _NODES, [node for name, node in wanted.items() if name not in present])
        moved = {
            name: node["metadata"]["labels"]
            for name, node in wanted.items()
            if name in present and not node["metadata"]["labels"].items() <= present[name]["labels"].items()
        }
        self._all("fake nodes moved", [(_NODES, name, labels) for name, labels in moved.items()], self._label)

    def _label(self, what: tuple[str, str, dict[str, str]]) -> None:
        path, name, labels = what
        self._api.merge(f"{path}/{name}", {"metadata": {"labels": labels}})

    def _create(self, title: str, path: str, items: t.Sequence[fake_objects.Object]) -> None:
        self._all(title, [(_collection(path, item["metadata"]), item) for item in items], self._post)

    def _post(self, what: tuple[str, fake_objects.Object]) -> None:
        try:
            self._api.create(*what)
        except requests.HTTPError as error:
            item = what[1]
            raise SandboxError(
                f"The API server refuses the {item['kind']} {_name(item['metadata'])}: {_reason(error)}.",
                "Take away what has this name, or undo with `meshops-sandbox scale --nodes 0`.",
            ) from error

    def _delete_surplus(self, title: str, path: str, wanted: t.Container[str]) -> None:
        present = self._present(path)
        surplus = [metadata for name, metadata in present.items() if name not in wanted]
        if not surplus:
            return
        if len(surplus) == len(present) and path in (_NODES, _PODS):
            places = {_collection(path, metadata) for metadata in surplus}
            self._all(f"{title} deleted", sorted(places), lambda place: self._api.delete(place, fake_objects.SELECTOR))
        else:
            each = [f"{_collection(path, metadata)}/{metadata['name']}" for metadata in surplus]
            self._all(f"{title} deleted", each, self._api.delete)
        self._wait_until_gone(title, path, wanted)

    def _wait_until_gone(self, title: str, path: str, wanted: t.Container[str]) -> None:
        before, since = -1, time.monotonic()
        with self._progress.step(f"{title} gone"):
            while left := [name for name in self._present(path) if name not in wanted]:
                if len(left) != before:
                    before, since = len(left), time.monotonic()
                if time.monotonic() - since > stretched(_LIMIT):
                    raise BootError(
                        f"{len(left)} {title} do not go ({left[0]} is one of them).",
                        "See `meshops-sandbox logs kwok kube-controller-manager`, or `meshops-sandbox reset`.",
                    )
                self._progress.detail(f"{title} gone", f"{len(left)} left")
                time.sleep(0.5)

    def _all(self, title: str, items: t.Sequence[t.Any], action: t.Callable[[t.Any], None]) -> None:
        """Do `action` for all items in parallel; the first error ends it."""
        if not items:
            return
        with self._progress.step(title):
            for done, _ in enumerate(self._pool.map(action, items), start=1):
                self._progress.detail(title, f"{done} of {len(items)}")


def _wait_for_endpoints(api: ApiServer, layout: Layout, scale: fake_objects.Scale, progress: Progress) -> None:
    title = "endpoints ready"
    before, since = -1, time.monotonic()
    with progress.step(title):
        while (ready := fake_objects.ready_endpoints(api.items(_SLICES, fake_objects.SELECTOR))) != scale.pods:
            if ready != before:
                before, since = ready, time.monotonic()
            if time.monotonic() - since > stretched(_LIMIT):
                raise BootError(
                    f"{ready} of {scale.pods} fake endpoints are ready, and for {stretched(_LIMIT):.0f} s no more "
                    "became so.",
                    "Run the same command again; see `meshops-sandbox logs kwok kube-controller-manager`.",
                    [f"kwok: {line}" for line in tail(layout.logs / "kwok.log", 4)],
                )
            progress.detail(title, f"{ready} of {scale.pods}")
            time.sleep(1)


def _name(metadata: t.Mapping[str, t.Any]) -> str:
    return "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))


def _collection(path: str, metadata: t.Mapping[str, t.Any]) -> str:
    if "namespace" not in metadata:
        return path
    root, _, kind = path.rpartition("/")
    return f"{root}/namespaces/{metadata['namespace']}/{kind}"


def _reason(error: requests.HTTPError) -> str:
    try:
        return str(error.response.json()["message"]) if error.response is not None else str(error)
    except (ValueError, KeyError):
        return str(error)
