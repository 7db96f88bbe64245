# Copyright (c) 2026, meshops.locality contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sandbox asks the API server while it boots and for its status. Plain HTTPS: importing a client library
takes longer."""

from __future__ import annotations

import json
import typing as t

import requests

from meshops_sandbox.fake_objects import LABEL
from meshops_sandbox.layout import Layout
from meshops_sandbox.time_limits import stretched


class ApiServer:
    """The API server of one sandbox, as the super admin. Methods raise requests.RequestException when it does not
    answer."""

    def __init__(self, layout: Layout, timeout: float = 5.0) -> None:
        self._base = layout.api_server
        self._timeout = stretched(timeout)
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the host has no way to the bridge
        self._session.verify = str(layout.pki / "ca.crt")
        self._session.cert = str(layout.pki / "super-admin.pem")

    def ready(self) -> bool:
        """Whether /readyz says ok."""
        try:
            return self._session.get(f"{self._base}/readyz", timeout=self._timeout).status_code == 200
        except (requests.RequestException, OSError):
            return False

    def get(self, path: str) -> dict[str, t.Any]:
        """The object or list at `path`; {} when there is none."""
        answer = self._session.get(self._base + path, timeout=self._timeout)
        if answer.status_code == 404:
            return {}
        answer.raise_for_status()
        return t.cast("dict[str, t.Any]", answer.json())

    def merge(self, path: str, patch: dict[str, t.Any]) -> None:
        """Merge `patch` into the object at `path`."""
        self._session.patch(
            self._base + path,
            json=patch,
            timeout=self._timeout,
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()

    def create(self, path: str, item: dict[str, t.Any]) -> None:
        """Create the object `item` in the collection at `path`."""
        self._session.post(self._base + path, json=item, timeout=self._timeout).raise_for_status()

    def delete(self, path: str, selector: str | None = None) -> None:
        """Delete the object at `path`, or everything in that collection that `selector` matches. It may be gone
        already."""
        answer = self._session.delete(
            self._base + path, params={"labelSelector": selector} if selector else None, timeout=self._timeout
        )
        if answer.status_code != 404:
            answer.raise_for_status()

    def items(self, path: str, selector: str) -> t.Iterator[dict[str, t.Any]]:
        """All objects of the collection at `path` that `selector` matches, a page at a time."""
        yield from self._pages(path, selector, "application/json")

    def metadata(self, path: str, selector: str) -> t.Iterator[dict[str, t.Any]]:
        """The same, but of each object only its metadata."""
        yield from self._pages(path, selector, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")

    def _pages(self, path: str, selector: str, accept: str) -> t.Iterator[dict[str, t.Any]]:
        query = {"labelSelector": selector, "limit": "1000"}
        while True:
            answer = self._session.get(
                self._base + path, params=query, timeout=self._timeout, headers={"Accept": accept}
            )
            answer.raise_for_status()
            page = answer.json()
            yield from page["items"] or ()
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                return

    def nodes(self) -> dict[str, bool]:
        """{node name: is Ready} of all real nodes that have registered."""
        items = self.items("/api/v1/nodes", f"!{LABEL}")
        return {item["metadata"]["name"]: _condition(item, "Ready") for item in items}

    def watched_nodes(self) -> t.Iterator[str]:
        """The names of all real nodes, then again of each that changes, until the API server ends the watch (after
        five minutes at most) or knows no more where it was."""
        query: dict[str, str] = {"labelSelector": f"!{LABEL}"}
        listed = self._session.get(f"{self._base}/api/v1/nodes", params=query, timeout=self._timeout)
        listed.raise_for_status()
        listing = listed.json()
        yield from (item["metadata"]["name"] for item in listing["items"])
        query |= {"watch": "true", "timeoutSeconds": "300", "resourceVersion": listing["metadata"]["resourceVersion"]}
        with self._session.get(
            f"{self._base}/api/v1/nodes", params=query, timeout=(self._timeout, 330), stream=True
        ) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["object"]["metadata"]["name"]

    def available(self, namespace: str, deployment: str) -> bool:
        """Whether all replicas of the Deployment are available. False when there is no such Deployment."""
        status = self.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}").get("status", {})
        return bool(status.get("availableReplicas")) and not status.get("unavailableReplicas")


def _condition(item: dict[str, t.Any], kind: str) -> bool:
    conditions = item.get("status", {}).get("conditions", [])
    return any(condition["type"] == kind and condition["status"] == "True" for condition in conditions)
